"""Motion capture on disk -> windows of 3D joints in metres, on the training device.

The npz layout is described in docs/training.md: `pos` (N, 17, 3) whole numbers times `scale`
metres, `offsets` (S + 1), and per sequence `name`, `subject`, `action`, `fps`, `skeleton`. World
axes: right-handed, Y up.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.errors import InvalidInput
from model.keypoints.skeleton import H36M17

CANONICAL_CHAIN_M = 1.58
"""Ankle to head along the bones, for every training target: one camera cannot see how tall a
person is. It is the mean over the training subjects' own skeletons, to the centimetre."""
CANONICAL_HEIGHT_M = 1.70
"""The standing height of such a person. Measured on the recordings: a chain of 1.58 m stands 1.54 m
from ankle to head joint; to that come about 8 cm below the ankle and 8 cm above the head joint."""

BODY_M = (0.5, 3.0)
"""Ankle to head along the bones of anybody who can be meant."""

Array = NDArray[Any]

_PER_SEQUENCE = ("name", "subject", "action", "fps", "skeleton")
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

    def kind(self, *, own: bool) -> "Recordings":
        """The sequences on people's own skeletons, or those on rebuilt ones. Raises InvalidInput
        where there is none."""
        keep = [i for i, is_own in enumerate(self.own_skeleton) if is_own is own]
        if not keep:
            raise InvalidInput("these recordings hold no sequence of the skeletons asked for")
        return self.select(keep)

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
    data = _checked(path, _read(path))
    offsets, scale = data["offsets"], float(data["scale"])
    start, length = torch.from_numpy(offsets[:-1]), torch.from_numpy(np.diff(offsets))
    positions = torch.from_numpy(data["pos"])
    chains = torch.stack(
        [
            chain_length(positions[o : o + n : 10].float() * scale).median()
            for o, n in zip(start, length, strict=True)
        ]
    )
    _check_sizes(path, chains, data["name"])
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


def _read(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, BadZipFile, zlib.error) as error:
        raise InvalidInput(f"{path}: not a readable npz file ({error})") from error


def _checked(path: Path, data: dict[str, Array]) -> dict[str, Array]:
    """The fields as they were read; raises InvalidInput for what does not fit together."""
    missing = {"pos", "scale", "offsets", *_PER_SEQUENCE} - set(data)
    if missing:
        raise InvalidInput(f"{path}: fields are missing: {', '.join(sorted(missing))}")
    pos, offsets, sequences = data["pos"], data["offsets"], len(np.atleast_1d(data["name"]))
    if pos.ndim != 3 or pos.shape[1:] != (len(H36M17.joints), 3):
        raise InvalidInput(f"{path}: pos is (frames, 17, 3), got {pos.shape}")
    if pos.dtype != np.int16:
        broken = pos.dtype.kind == "f" and not np.isfinite(pos).all()
        raise InvalidInput(
            f"{path}: pos is int16 (times scale), got {pos.dtype}{' with NaN' if broken else ''}; "
            "model.training.datasets.motion.write_recordings writes the layout"
        )
    if offsets.shape != (sequences + 1,) or offsets[-1] != len(pos) or offsets[0] != 0:
        raise InvalidInput(f"{path}: offsets do not cut {len(pos)} frames into the named sequences")
    if (np.diff(offsets) < 1).any():
        raise InvalidInput(f"{path}: a sequence without frames")
    _check_sequences(path, data, sequences)
    return data


def _check_sequences(path: Path, data: dict[str, Array], sequences: int) -> None:
    for field in _PER_SEQUENCE:
        if data[field].shape != (sequences,):
            raise InvalidInput(
                f"{path}: {field} is one of each of {sequences} sequences, got {data[field].shape}"
            )
    names, fps, scale = data["name"], data["fps"], data["scale"]
    nameless = [str(name) for name, who in zip(names, data["subject"], strict=True) if not str(who)]
    if nameless:
        raise InvalidInput(f"{path}: the subject of {nameless[0]} is missing")
    if scale.size != 1:
        raise InvalidInput(f"{path}: scale is one number, got {scale.shape}")
    for number, what in zip([*fps, scale.item()], [*names, "scale"], strict=True):
        if not 0 < float(number) < float("inf"):
            raise InvalidInput(f"{path}: fps and scale lie above 0, got {number} for {what}")


def _check_sizes(path: Path, chains: Tensor, names: Array) -> None:
    low, high = BODY_M
    for size, name in zip(chains.tolist(), names, strict=True):
        if not low <= size <= high:
            raise InvalidInput(
                f"{path}: a body measures {low:g} to {high:g} m from ankle to head, got "
                f"{size:.3g} in {name}; pos times scale are metres"
            )
