"""Errors of a model file on recordings it has not seen, through the path that users take.

The recordings are cut into clips of 100 frames. Each clip gets a camera and a detector of its own,
becomes pixels, and goes through `Lifter.lift`; the poses are compared in camera axes. Errors are
first averaged over each person's clips, then over people: one person must not be the average.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from model.errors import InvalidInput
from model.lifter import Lifter, LiftOptions
from model.metrics import auc, mpjpe, mpjve, n_mpjpe, p_mpjpe, pck
from model.sequences import KeypointSequence
from model.skeleton import H36M17
from model.training.cameras import Draw
from model.training.recordings import CANONICAL_CHAIN_M, Recordings
from model.training.simulate import Sight, Simulation, look

CLIP_FRAMES = 100
LONG_SIDE_PX = 1920
_CLIPS_AT_ONCE = 16

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Clip:
    """One simulated video of one person: what the service is given, and the truth.

    xyz (T, 17, 3) m in camera axes, relative to the pelvis, at the canonical body size; size is
    the person's own size over that.
    """

    person: str
    action: str
    keypoints: KeypointSequence
    focal_px: float | None
    xyz: Floats
    size: float


def clips(
    recordings: Recordings, simulation: Simulation, *, fps: float = 50.0, seed: int = 1
) -> Iterator[Clip]:
    """Every whole clip of the recordings, each filmed once; the same ones for the same seed."""
    places = _places(recordings, fps)
    if not places:
        raise InvalidInput(f"no recording has {CLIP_FRAMES} frames at {fps:g} a second")
    generator = torch.Generator().manual_seed(seed)
    for first in range(0, len(places), _CLIPS_AT_ONCE):
        some = places[first : first + _CLIPS_AT_ONCE]
        sequence = torch.tensor([index for index, _ in some])
        start = torch.tensor([frame for _, frame in some])
        step = recordings.fps[sequence] / fps
        times = start[:, None] + torch.arange(CLIP_FRAMES) * step[:, None]
        draw = Draw(len(some), torch.device("cpu"), generator)
        rate = torch.full((len(some),), fps)
        sight = look(recordings.at(sequence, times), rate, simulation, draw, generator)
        for row, (index, _) in enumerate(some):
            yield _clip(sight, row, recordings, index, fps)


@dataclass(frozen=True)
class Report:
    """Errors over all clips: the mean over people, and each person's own."""

    mean: dict[str, float]
    people: dict[str, dict[str, float]]


def evaluate(
    lifter: Lifter,
    recordings: Recordings,
    simulation: Simulation,
    options: LiftOptions | None = None,
    *,
    fps: float = 50.0,
) -> Report:
    """Lift every clip and measure. Lengths in mm (mm/s for mpjve); height_unknown_mpjpe is what a
    user gets who does not give the person's height."""
    options = options or LiftOptions()
    found: dict[str, list[dict[str, float]]] = {}
    for clip in tqdm(clips(recordings, simulation, fps=fps), unit="clip", leave=False):
        asked = LiftOptions(readout=options.readout, flip=options.flip, focal_px=clip.focal_px)
        xyz = lifter.lift(clip.keypoints, asked).xyz
        found.setdefault(clip.person, []).append(_errors(xyz, clip, fps))
    people = {name: _mean(rows) for name, rows in sorted(found.items())}
    return Report(_mean(list(people.values())), people)


def mean_pose_errors(lifter: Lifter, recordings: Recordings, simulation: Simulation) -> Report:
    """The errors of always answering the mean pose of these very clips, turned to the person: what
    a model that learnt nothing but where the person is would reach."""
    filmed = list(clips(recordings, simulation))
    turns = [lifter.prepare(c.keypoints, c.focal_px).rotation for c in filmed]
    turned = [c.xyz @ np.swapaxes(r, -1, -2) for c, r in zip(filmed, turns, strict=True)]
    mean = np.concatenate(turned).mean(axis=0)
    found: dict[str, list[dict[str, float]]] = {}
    for clip, rotation in zip(filmed, turns, strict=True):
        found.setdefault(clip.person, []).append(_errors(mean @ rotation, clip, 50.0))
    people = {name: _mean(rows) for name, rows in sorted(found.items())}
    return Report(_mean(list(people.values())), people)


def _places(recordings: Recordings, fps: float) -> list[tuple[int, int]]:
    """(sequence, first source frame) of each whole clip."""
    found = []
    for index, length in enumerate(recordings.length.tolist()):
        frames = CLIP_FRAMES * float(recordings.fps[index]) / fps
        found += [(index, round(k * frames)) for k in range(int(length / frames))]
    return found


def _clip(sight: Sight, row: int, recordings: Recordings, index: int, fps: float) -> Clip:
    cameras = sight.cameras
    width, height = (round(side) for side in (cameras.image_size[row] * LONG_SIDE_PX).tolist())
    told = bool(cameras.assumed_focal[row] == cameras.focal[row])
    joints = sight.joints[row]
    return Clip(
        person=recordings.subjects[index],
        action=recordings.actions[index],
        keypoints=KeypointSequence(
            xy=_numpy(sight.points[row] * LONG_SIDE_PX),
            confidence=_numpy(sight.score[row]),
            image_size=(width, height),
            fps=fps,
            skeleton=H36M17,
        ),
        focal_px=float(cameras.focal[row]) * LONG_SIDE_PX if told else None,
        xyz=_numpy(joints - joints[:, :1]),
        size=float(recordings.chain_m[index]) / CANONICAL_CHAIN_M,
    )


def _errors(xyz: Floats, clip: Clip, fps: float) -> dict[str, float]:
    xyz = np.broadcast_to(xyz, clip.xyz.shape)
    return {
        "mpjpe": mpjpe(xyz, clip.xyz),
        "p_mpjpe": p_mpjpe(xyz, clip.xyz),
        "n_mpjpe": n_mpjpe(xyz, clip.xyz),
        "mpjve": mpjve(xyz, clip.xyz, fps),
        "pck150": pck(xyz, clip.xyz),
        "auc": auc(xyz, clip.xyz),
        "height_unknown_mpjpe": mpjpe(xyz, clip.xyz * clip.size),
    }


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _numpy(values: Tensor) -> NDArray[np.float32]:
    return values.numpy().astype(np.float32)
