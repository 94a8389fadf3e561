"""Motion capture files -> 3D joints in metres on the training device.

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
"""Ankle to head along the bones, for every training target, since one camera cannot measure body
size. The mean over the training subjects' own skeletons, to the centimetre."""
CANONICAL_HEIGHT_M = 1.70
"""Standing height of such a person: in the recordings a chain of 1.58 m is 1.54 m high from ankle
to head joint; about 8 cm below the ankle and 8 cm above the head joint are added."""

BODY_M = (0.5, 3.0)
"""Accepted range of that chain's length."""

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
    """S sequences, concatenated.

    positions (N, 17, 3) int16; per sequence: start, length (frames), fps, metres per unit (scaled
    to the canonical size), chain_m (the body's own), and the file's texts.
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
        """A subset of the sequences; the positions are shared."""
        rows: dict[str, Any] = {}
        for name, values in vars(self).items():
            if name != "positions":
                tensor = isinstance(values, Tensor)
                rows[name] = values[list(keep)] if tensor else tuple(values[i] for i in keep)
        return replace(self, **rows)

    def kind(self, *, own: bool) -> "Recordings":
        """The sequences on people's own skeletons, or those on rebuilt ones. Raises InvalidInput
        if there are none."""
        keep = [i for i, is_own in enumerate(self.own_skeleton) if is_own is own]
        if not keep:
            raise InvalidInput(
                f"the recordings have no sequence on {'own' if own else 'rebuilt'} skeletons"
            )
        return self.select(keep)

    def at(self, sequence: Tensor, times: Tensor) -> Tensor:
        """Joints at fractional frames: sequence (B,), times (B, f) in frames -> (B, f, 17, 3) m.

        Linear interpolation; a time outside the sequence gives its first or last frame.
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
    """Read npz files of the layout above. Raises InvalidInput naming the file and the fault."""
    if not paths:
        raise InvalidInput("no recordings: name at least one npz file")
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
    """The fields, validated; raises InvalidInput."""
    missing = {"pos", "scale", "offsets", *_PER_SEQUENCE} - set(data)
    if missing:
        raise InvalidInput(f"{path}: fields are missing: {', '.join(sorted(missing))}")
    pos, offsets, sequences = data["pos"], data["offsets"], len(np.atleast_1d(data["name"]))
    if pos.ndim != 3 or pos.shape[1:] != (len(H36M17.joints), 3):
        raise InvalidInput(f"{path}: pos must be (frames, 17, 3), got {pos.shape}")
    if pos.dtype != np.int16:
        broken = pos.dtype.kind == "f" and not np.isfinite(pos).all()
        raise InvalidInput(
            f"{path}: pos must be int16 (metres = pos * scale), got "
            f"{pos.dtype}{' with NaN' if broken else ''}; "
            "model.training.datasets.motion.write_recordings writes this layout"
        )
    if offsets.shape != (sequences + 1,) or offsets[-1] != len(pos) or offsets[0] != 0:
        raise InvalidInput(
            f"{path}: offsets do not divide {len(pos)} frames into {sequences} sequences"
        )
    if (np.diff(offsets) < 1).any():
        raise InvalidInput(f"{path}: a sequence has no frames")
    _check_sequences(path, data, sequences)
    return data


def _check_sequences(path: Path, data: dict[str, Array], sequences: int) -> None:
    for field in _PER_SEQUENCE:
        if data[field].shape != (sequences,):
            raise InvalidInput(
                f"{path}: {field} must have one value for each of {sequences} sequences, got shape "
                f"{data[field].shape}"
            )
    names, fps, scale = data["name"], data["fps"], data["scale"]
    for name, subject in zip(names, data["subject"], strict=True):
        if not str(subject):
            raise InvalidInput(f"{path}: the subject of {name} is missing")
    if scale.size != 1:
        raise InvalidInput(f"{path}: scale must be one number, got shape {scale.shape}")
    for number, name in zip([*fps, scale.item()], [*names, "scale"], strict=True):
        if not 0 < float(number) < float("inf"):
            raise InvalidInput(f"{path}: fps and scale must be above 0, got {number} for {name}")


def _check_sizes(path: Path, chains: Tensor, names: Array) -> None:
    low, high = BODY_M
    for size, name in zip(chains.tolist(), names, strict=True):
        if not low <= size <= high:
            raise InvalidInput(
                f"{path}: a body must measure {low:g} to {high:g} m from ankle to head, got "
                f"{size:.3g} in {name}; pos * scale must be metres"
            )
