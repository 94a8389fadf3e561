"""Motion capture on disk -> windows of 3D joints in metres, on the training device.

The npz layout is described in docs/training.md: `pos` (N, 17, 3) whole numbers times `scale`
metres, `offsets` (S + 1), and per sequence `name`, `subject`, `action`, `fps`, `skeleton`. World
axes: right-handed, Y up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.errors import InvalidInput
from model.skeleton import H36M17

CANONICAL_CHAIN_M = 1.58
"""Ankle to head along the bones, for every training target: one camera cannot see how tall a
person is. It is the mean over the training subjects' own skeletons, to the centimetre."""
CANONICAL_HEIGHT_M = 1.70
"""The standing height of such a person. Measured on the recordings: a chain of 1.58 m stands 1.54 m
from ankle to head joint; to that come about 8 cm below the ankle and 8 cm above the head joint."""

_CHAIN = [(1, 2), (2, 3), (4, 5), (5, 6), (0, 7), (7, 8), (8, 9), (9, 10)]
_CHAIN_WEIGHTS = (0.5, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0)


def chain_length(joints: Tensor) -> Tensor:
    """Ankle to head along the bones, mean of both legs: (..., 17, 3) m -> (...) m."""
    start, end = (list(side) for side in zip(*_CHAIN, strict=True))
    bones = (joints[..., end, :] - joints[..., start, :]).norm(dim=-1)
    return (bones * bones.new_tensor(_CHAIN_WEIGHTS)).sum(dim=-1)


@dataclass(frozen=True)
class Recordings:
    """S sequences laid end to end.

    positions (N, 17, 3) int16; per sequence: start, length (frames), fps, metres (of one unit,
    already at the canonical size), chain_m (the body's own); and what the file said of it.
    """

    positions: Tensor
    start: Tensor
    length: Tensor
    fps: Tensor
    metres: Tensor
    chain_m: Tensor
    names: tuple[str, ...]
    subjects: tuple[str, ...]
    actions: tuple[str, ...]
    own_skeleton: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device) -> "Recordings":
        moved: dict[str, Any] = {
            name: value.to(device)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    def select(self, keep: Sequence[int]) -> "Recordings":
        """Only those sequences; the positions stay where they are."""
        rows: dict[str, Any] = {}
        for name, values in vars(self).items():
            if name != "positions":
                tensor = isinstance(values, Tensor)
                rows[name] = values[list(keep)] if tensor else tuple(values[i] for i in keep)
        return replace(self, **rows)

    def at(self, sequence: Tensor, times: Tensor) -> Tensor:
        """Joints between frames: sequence (B,), times (B, f) in source frames -> (B, f, 17, 3) m.

        Linear between frames; a time outside the sequence is its first or last frame.
        """
        last = (self.length[sequence] - 1)[:, None]
        times = times.clamp(min=0).minimum(last)
        before = times.floor().long()
        share = (times - before)[..., None, None]
        row = self.start[sequence][:, None] + before
        after = row + (before < last)
        joints = self.positions[row].float().lerp(self.positions[after].float(), share)
        return joints * self.metres[sequence][:, None, None, None]


def load_recordings(paths: Sequence[Path]) -> Recordings:
    """Read npz files of the layout above. Raises InvalidInput that names the file and the fault."""
    if not paths:
        raise InvalidInput("no recordings given: name at least one npz file")
    parts = [_load_one(Path(path)) for path in paths]
    joined: dict[str, Any] = {
        "positions": torch.cat([part.positions for part in parts]),
        "start": _shifted_starts(parts),
    }
    for field in ("length", "fps", "metres", "chain_m"):
        joined[field] = torch.cat([getattr(part, field) for part in parts])
    texts: dict[str, Any] = {
        field: tuple(value for part in parts for value in getattr(part, field))
        for field in ("names", "subjects", "actions", "own_skeleton")
    }
    return Recordings(**joined, **texts)


def _shifted_starts(parts: Sequence[Recordings]) -> Tensor:
    before, starts = 0, []
    for part in parts:
        starts.append(part.start + before)
        before += len(part.positions)
    return torch.cat(starts)


def _load_one(path: Path) -> Recordings:
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path}: not a readable npz file ({error})") from error
    missing = {"pos", "scale", "offsets", "name", "subject", "action", "fps", "skeleton"} - set(
        data
    )
    if missing:
        raise InvalidInput(f"{path}: fields are missing: {', '.join(sorted(missing))}")
    pos, offsets = data["pos"], data["offsets"]
    if pos.ndim != 3 or pos.shape[1:] != (len(H36M17.joints), 3):
        raise InvalidInput(f"{path}: pos is (frames, 17, 3), got {pos.shape}")
    if pos.dtype != np.int16:
        raise InvalidInput(f"{path}: pos is int16 (times scale), got {pos.dtype}")
    if len(offsets) != len(data["name"]) + 1 or offsets[-1] != len(pos) or offsets[0] != 0:
        raise InvalidInput(f"{path}: offsets do not cut {len(pos)} frames into the named sequences")
    start, length = torch.from_numpy(offsets[:-1]), torch.from_numpy(np.diff(offsets))
    if (length < 1).any():
        raise InvalidInput(f"{path}: a sequence without frames")
    positions, scale = torch.from_numpy(pos), float(data["scale"])
    chains = torch.stack(
        [
            chain_length(positions[o : o + n : 10].float() * scale).median()
            for o, n in zip(start, length, strict=True)
        ]
    )
    return Recordings(
        positions=positions,
        start=start,
        length=length,
        fps=torch.from_numpy(data["fps"]).float(),
        metres=scale * CANONICAL_CHAIN_M / chains,
        chain_m=chains,
        names=tuple(data["name"].tolist()),
        subjects=tuple(data["subject"].tolist()),
        actions=tuple(data["action"].tolist()),
        own_skeleton=tuple(kind == "own" for kind in data["skeleton"].tolist()),
    )
