"""Errors of a model file on recordings it has not seen, through the path that users take.

The recordings are cut into clips of 100 frames. Each clip gets a camera and a detector of its own,
becomes pixels, and goes through `Lifter.lift`; the poses are compared in camera axes. Errors are
first averaged over each person's clips, then over people: one person must not be the average.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from model.errors import InvalidInput
from model.keypoints.sequences import KeypointSequence
from model.keypoints.skeleton import H36M17
from model.lifting.camera import turn, turn_back
from model.lifting.lifter import Lifter
from model.lifting.options import LiftOptions
from model.motion.metrics import auc, joint_errors, mpjpe, mpjve, n_mpjpe, p_mpjpe, pck
from model.training.evaluation.views import CLASSES, View, views
from model.training.recordings import CANONICAL_CHAIN_M, Recordings
from model.training.simulation.cameras import Draw
from model.training.simulation.simulate import Sight, Simulation, look

CLIP_FRAMES = 100
LONG_SIDE_PX = 1920
_CLIPS_AT_ONCE = 16

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Place:
    """Where a simulated camera saw a person: root (T, 3) m in camera axes; the floor that the
    recordings stand on by up (3,), in camera axes, and camera_height_m above it."""

    root: Floats
    up: Floats
    camera_height_m: float


@dataclass(frozen=True)
class Clip:
    """One simulated video of one person: what the service is given, and the truth.

    xyz (T, 17, 3) m in camera axes, relative to the pelvis, at the canonical body size; size is
    the person's own size over that; view and place are None where a real camera filmed.
    """

    person: str
    action: str
    keypoints: KeypointSequence
    focal_px: float | None
    xyz: Floats
    size: float
    view: View | None = None
    place: Place | None = None


def clips(
    recordings: Recordings,
    simulation: Simulation,
    *,
    fps: float = 50.0,
    seed: int = 1,
    frames: int = CLIP_FRAMES,
) -> Iterator[Clip]:
    """Every whole clip of the recordings, each filmed once; the same ones for the same seed."""
    places = _places(recordings, fps, frames)
    if not places:
        raise InvalidInput(f"no recording has {frames} frames at {fps:g} a second")
    generator = torch.Generator().manual_seed(seed)
    for first in range(0, len(places), _CLIPS_AT_ONCE):
        some = places[first : first + _CLIPS_AT_ONCE]
        sequence = torch.tensor([index for index, _ in some])
        start = torch.tensor([frame for _, frame in some])
        step = recordings.fps[sequence] / fps
        times = start[:, None] + torch.arange(frames) * step[:, None]
        draw = Draw(len(some), torch.device("cpu"), generator)
        rate = torch.full((len(some),), fps)
        sight = look(recordings.at(sequence, times), rate, simulation, draw, generator)
        for row, ((index, _), view) in enumerate(zip(some, views(sight), strict=True)):
            yield replace(_clip(sight, row, recordings, index, fps), view=view)


def has_clips(recordings: Recordings, fps: float) -> bool:
    """Is any recording long enough for a clip at this rate?"""
    return bool(_places(recordings, fps))


@dataclass(frozen=True)
class Report:
    """Errors over all clips: the mean over people, each person's, each action's, and the mean over
    actions (Human3.6M's way). Lengths in mm, mpjve in mm/s, pck150 and auc in percent;
    height_unknown_mpjpe is what a user gets who does not give the person's height.

    joints: MPJPE of each joint, the mean over people. views: the errors over the clips of each
    class of cameras, over frames rather than people, and `share`, how many of all frames those are
    (percent).
    """

    mean: dict[str, float]
    people: dict[str, dict[str, float]]
    actions: dict[str, dict[str, float]]
    mean_over_actions: dict[str, float]
    joints: dict[str, float]
    views: dict[str, dict[str, float]]


@dataclass(frozen=True)
class _Measured:
    """One clip's errors, those of its joints (MPJPE), and the frames they were measured over."""

    clip: Clip
    errors: dict[str, float]
    joints: dict[str, float]
    frames: int


def evaluate(lifter: Lifter, filmed: Iterable[Clip], options: LiftOptions | None = None) -> Report:
    """Lift every clip as `options` say (but for the focal length, which is each clip's)."""
    options = options or LiftOptions()
    found = []
    for clip in tqdm(filmed, unit="clip", leave=False):
        poses = lifter.lift(clip.keypoints, replace(options, focal_px=clip.focal_px))
        found.append(_measure(poses.xyz, clip))
    return _report(found)


def mean_pose_errors(lifter: Lifter, filmed: Iterable[Clip]) -> Report:
    """The errors of always answering the mean pose of these very clips, turned to the person: what
    a model that learnt nothing but where the person is would reach."""
    filmed = list(filmed)
    turns = [lifter.prepare(c.keypoints, c.focal_px).rotation for c in filmed]
    turned = [turn(c.xyz, r) for c, r in zip(filmed, turns, strict=True)]
    mean = np.nanmean(np.concatenate(turned), axis=0)
    pairs = zip(filmed, turns, strict=True)
    return _report([_measure(turn_back(mean, r), clip) for clip, r in pairs])


def look_ahead_errors(lifter: Lifter, filmed: Iterable[Clip]) -> dict[int, float]:
    """MPJPE (mm) of the dense readout against how many frames after the answered one were seen:
    0 is an answer at once, f // 2 has as much future as the centre readout. Only windows that lie
    within their clip count. Mean over people."""
    people: dict[str, list[NDArray[np.float64]]] = {}
    for clip in filmed:
        prepared = lifter.prepare(clip.keypoints, clip.focal_px)
        half = lifter.window.past
        centres = np.arange(half, len(clip.xyz) - half)
        if not len(centres):
            continue
        dense = lifter.run(lifter.window.over(prepared.inputs, centres)).dense
        if dense is None:
            raise InvalidInput(f"model {lifter.name} has no dense readout")
        true = lifter.window.over(turn(clip.xyz, prepared.rotation), centres)
        errors = np.nanmean(joint_errors(dense, true), axis=(0, 2))
        people.setdefault(clip.person, []).append(errors)
    by_token = np.mean([np.mean(rows, axis=0) for rows in people.values()], axis=0)
    return {ahead: float(by_token[-1 - ahead]) for ahead in range(lifter.frames)}


def _report(measured: list[_Measured]) -> Report:
    by_person = _grouped(measured, lambda one: one.clip.person)
    by_action = _grouped(measured, lambda one: one.clip.action)
    people = [_over_frames(group, lambda one: one.errors) for group in by_person.values()]
    actions = [_over_frames(group, lambda one: one.errors) for group in by_action.values()]
    joints = [_over_frames(group, lambda one: one.joints) for group in by_person.values()]
    return Report(
        mean=_mean(people),
        people=dict(zip(by_person, people, strict=True)),
        actions=dict(zip(by_action, actions, strict=True)),
        mean_over_actions=_mean(actions),
        joints=_mean(joints),
        views=_by_view(measured),
    )


def _grouped(
    measured: list[_Measured], name: Callable[[_Measured], str]
) -> dict[str, list[_Measured]]:
    names = sorted({name(one) for one in measured})
    return {each: [one for one in measured if name(one) == each] for each in names}


def _by_view(measured: list[_Measured]) -> dict[str, dict[str, float]]:
    seen = [(one, one.clip.view) for one in measured if one.clip.view is not None]
    frames = sum(one.frames for one, _ in seen)
    found = {}
    for name, holds in CLASSES.items():
        some = [one for one, view in seen if holds(view)]
        if some:
            share = 100 * sum(one.frames for one in some) / frames
            found[name] = {"share": share, **_over_frames(some, lambda one: one.errors)}
    return found


def _places(recordings: Recordings, fps: float, frames: int = CLIP_FRAMES) -> list[tuple[int, int]]:
    """(sequence, first source frame) of each whole clip."""
    found = []
    for index, length in enumerate(recordings.length.tolist()):
        taken = frames * float(recordings.fps[index]) / fps
        found += [(index, round(k * taken)) for k in range(int(length / taken))]
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
        place=_place(sight, row),
    )


def _place(sight: Sight, row: int) -> Place:
    cameras = sight.cameras
    up = cameras.rotation[row].reshape(3, 3)[:, 1]
    # the camera's place in the world: origin + rotation^T (0 - offset)
    height = cameras.origin[row, ..., 1].sum() - (up * cameras.offset[row].flatten()).sum()
    return Place(_numpy(sight.joints[row, :, 0]), _numpy(up), float(height))


def _measure(xyz: Floats, clip: Clip) -> _Measured:
    """Over the frames whose truth is known."""
    known = np.isfinite(clip.xyz).all(axis=(-2, -1))
    poses = np.broadcast_to(xyz, clip.xyz.shape)
    found, true = poses[known], clip.xyz[known]
    errors = {
        "mpjpe": mpjpe(found, true),
        "p_mpjpe": p_mpjpe(found, true),
        "n_mpjpe": n_mpjpe(found, true),
        "mpjve": mpjve(poses, clip.xyz, clip.keypoints.fps),
        "pck150": pck(found, true),
        "auc": auc(found, true),
        "height_unknown_mpjpe": mpjpe(found, true * clip.size),
    }
    joints = joint_errors(found, true).mean(axis=0)
    by_joint = dict(zip(H36M17.joints, joints.tolist(), strict=True))
    return _Measured(clip, errors, by_joint, int(known.sum()))


def _over_frames(
    some: list[_Measured], figures: Callable[[_Measured], dict[str, float]]
) -> dict[str, float]:
    """The mean of several clips, each counting by its frames."""
    weights = [one.frames for one in some]
    rows = [figures(one) for one in some]
    return {n: float(np.average([row[n] for row in rows], weights=weights)) for n in rows[0]}


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _numpy(values: Tensor) -> NDArray[np.float32]:
    return values.numpy().astype(np.float32)
