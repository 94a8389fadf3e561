"""One person's recorded motion, validated, and the writer of npz files of recordings.

The layout is described in docs/training.md; model.training.recordings reads it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.files import written_whole
from model.keypoints.skeleton import H36M17
from model.training.recordings import BODY_M, chain_length

Floats = NDArray[np.floating[Any]]

FPS = 50.0
"""Recordings are resampled to this frame rate."""
GLITCH_M_S = 20.0
"""Recordings are cut where a joint moves faster than this."""
GLITCH_AROUND_S = 1 / 30
"""Also removed on either side of a cut."""
SHORTEST_PIECE_S = 1.0
"""Pieces between cuts that are shorter are dropped."""
FINEST_SCALE_M = 0.00025
"""Metres per stored unit; doubled until the recordings fit into int16."""


@dataclass(frozen=True)
class Motion:
    """One recording of one person.

    joints (T, 17, 3) m, H36M-17, in a right-handed world with Y up and the floor near 0; skeleton
    is "own" if bones have the person's lengths, anything else if they are rebuilt. Raises
    InvalidInput naming the recording and the fault.
    """

    name: str
    subject: str
    joints: Floats
    fps: float
    action: str = "unknown"
    source: str = ""
    source_format: str = ""
    skeleton: str = "own"
    licence: str = ""

    def __post_init__(self) -> None:
        if not self.name or not self.subject:
            raise InvalidInput(
                f"{self._about}: a name and a subject are needed, got subject {self.subject!r}"
            )
        if not 0 < self.fps < float("inf"):
            raise InvalidInput(f"{self._about}: fps must be above 0, got {self.fps}")
        joints = np.asarray(self.joints)
        expected = len(H36M17.joints)
        if joints.ndim != 3 or joints.shape[1:] != (expected, 3) or len(joints) < 2:
            raise InvalidInput(
                f"{self._about}: joints must be (2 or more frames, {expected}, 3), got "
                f"{joints.shape}"
            )
        _check_values(self._about, joints)
        object.__setattr__(self, "joints", joints.astype(np.float32))

    @property
    def _about(self) -> str:
        """Names the recording in messages."""
        return f"recording {self.name!r}" + (f" of {self.source}" if self.source else "")

    def pieces(self) -> Iterator["Motion"]:
        """The recording, cut at glitches."""
        speed = np.linalg.norm(np.diff(self.joints, axis=0), axis=-1).max(axis=-1) * self.fps
        cuts = np.flatnonzero(speed > GLITCH_M_S) + 1
        if not len(cuts):
            yield self
            return
        around, shortest = round(GLITCH_AROUND_S * self.fps), SHORTEST_PIECE_S * self.fps
        starts, ends = [0, *(cuts + around)], [*(cuts - around), len(self.joints)]
        kept = [(a, b) for a, b in zip(starts, ends, strict=True) if b - a > shortest]
        for number, (start, end) in enumerate(kept):
            yield replace(self, name=f"{self.name}s{number}", joints=self.joints[start:end])

    def at(self, fps: float) -> Floats:
        """Joints (T', 17, 3) linearly resampled to another frame rate."""
        last = len(self.joints) - 1
        frames = int(last * fps / self.fps + 1e-6) + 1
        times = np.minimum(np.arange(frames) * (self.fps / fps), last)
        before = times.astype(int)
        share = (times - before).astype(np.float32)[:, None, None]
        after = np.minimum(before + 1, last)
        return self.joints[before] * (1 - share) + self.joints[after] * share


@dataclass(frozen=True)
class Written:
    """Summary of a written file."""

    sequences: int
    minutes: float
    subjects: tuple[str, ...]


def write_recordings(path: Path, motions: Iterable[Motion], *, split: str = "train") -> Written:
    """Cut, resample to 50 frames/s and write atomically.

    `split` is stored with each sequence. Raises InvalidInput if there is nothing to write.
    """
    pieces: list[Motion] = []
    for motion in motions:
        pieces += (replace(p, joints=p.at(FPS)) for p in motion.pieces())
    if not pieces:
        raise InvalidInput(f"{path}: no recording to write")
    largest = max(float(np.abs(piece.joints).max()) for piece in pieces)
    scale = FINEST_SCALE_M
    while largest / scale > np.iinfo(np.int16).max:
        scale *= 2
    lengths = [len(piece.joints) for piece in pieces]
    _save(
        Path(path),
        pos=np.concatenate([np.rint(p.joints / scale).astype(np.int16) for p in pieces]),
        scale=np.array(scale),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        fps=np.full(len(pieces), FPS),
        source_fps=np.array([piece.fps for piece in pieces]),
        split=np.array([split] * len(pieces)),
        joint_names=np.array(H36M17.joints),
        units=np.array("metres = pos * scale"),
        axes=np.array("right-handed, Y up, floor near y = 0"),
        **_texts(pieces),
    )
    subjects = tuple(sorted({piece.subject for piece in pieces}))
    return Written(len(pieces), sum(lengths) / FPS / 60, subjects)


def _texts(pieces: Sequence[Motion]) -> dict[str, NDArray[np.str_]]:
    fields = ("name", "subject", "action", "source", "source_format", "skeleton", "licence")
    return {name: np.array([getattr(piece, name) for piece in pieces]) for name in fields}


def _save(path: Path, **arrays: NDArray[Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as part, part.open("wb") as file:
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be written ({error})") from error


def _check_values(about: str, joints: Floats) -> None:
    finite = np.isfinite(joints).all(axis=-1)
    if not finite.all():
        frame, joint = (int(i) for i in np.argwhere(~finite)[0])
        raise InvalidInput(
            f"{about}: joints must be finite, but {H36M17.joints[joint]} of frame {frame} is "
            f"{joints[frame, joint].tolist()}; cut out or fill such frames"
        )
    size = float(chain_length(torch.from_numpy(joints[::10].astype(np.float32))).median())
    if not BODY_M[0] <= size <= BODY_M[1]:
        raise InvalidInput(
            f"{about}: a body must measure {BODY_M[0]:g} to {BODY_M[1]:g} m from ankle to "
            f"head, got {size:.3g}; joints must be in metres"
        )
