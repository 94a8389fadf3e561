"""Errors of a model file on recordings it was not trained on, through `Lifter.lift`.

Recordings are cut into clips of 100 frames, each with its own simulated camera and detector, and
lifted from pixels; poses are compared in camera axes. Errors are averaged over each person's clips,
then over people, so that no person dominates the mean.
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
from model.training.simulation.windows import Observation, Simulation, observe

CLIP_FRAMES = 100
LONG_SIDE_PX = 1920
_CLIPS_AT_ONCE = 16

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Placement:
    """World space as seen by a simulated camera: the person's root (T, 3) m and the up axis (3,),
    both in camera axes, and the camera's height above the floor."""

    root: Floats
    up: Floats
    camera_height_m: float


@dataclass(frozen=True)
class Clip:
    """One video of one person: the lifter's input, and the truth.

    xyz (T, 17, 3) m in camera axes, relative to the pelvis, at the canonical body size; size is
    the person's own size relative to that; view and placement are None for real cameras.
    """

    person: str
    action: str
    keypoints: KeypointSequence
    focal_px: float | None
    xyz: Floats
    size: float
    view: View | None = None
    placement: Placement | None = None


def simulated_clips(
    recordings: Recordings,
    simulation: Simulation,
    *,
    fps: float = 50.0,
    seed: int = 1,
    frames: int = CLIP_FRAMES,
) -> Iterator[Clip]:
    """Every whole clip of the recordings, simulated once; reproducible for a seed."""
    starts = _clip_starts(recordings, fps, frames)
    if not starts:
        raise InvalidInput(f"no recording is {frames} frames long at {fps:g} frames/s")
    generator = torch.Generator().manual_seed(seed)
    for first in range(0, len(starts), _CLIPS_AT_ONCE):
        some = starts[first : first + _CLIPS_AT_ONCE]
        sequence = torch.tensor([index for index, _ in some])
        start = torch.tensor([frame for _, frame in some])
        step = recordings.fps[sequence] / fps
        times = start[:, None] + torch.arange(frames) * step[:, None]
        draw = Draw(len(some), torch.device("cpu"), generator)
        rate = torch.full((len(some),), fps)
        observation = observe(recordings.at(sequence, times), rate, simulation, draw, generator)
        for row, ((index, _), view) in enumerate(zip(some, views(observation), strict=True)):
            yield replace(_clip(observation, row, recordings, index, fps), view=view)


def has_clips(recordings: Recordings, fps: float) -> bool:
    """Whether any recording is long enough for a clip at this frame rate."""
    return bool(_clip_starts(recordings, fps))


@dataclass(frozen=True)
class Report:
    """Errors over all clips: the mean over people, per person, per action, and the mean over
    actions (as for Human3.6M). Lengths in mm, mpjve in mm/s, pck150 and auc in percent;
    height_unknown_mpjpe is the error if a request does not state the person's height.

    joints: MPJPE per joint, mean over people. views: errors per class of camera views, mean over
    frames, with their `share` of all frames (percent).
    """

    mean: dict[str, float]
    people: dict[str, dict[str, float]]
    actions: dict[str, dict[str, float]]
    mean_over_actions: dict[str, float]
    joints: dict[str, float]
    views: dict[str, dict[str, float]]


@dataclass(frozen=True)
class _Measured:
    """One clip's errors, MPJPE per joint, and the number of frames measured."""

    clip: Clip
    errors: dict[str, float]
    joints: dict[str, float]
    frames: int


def evaluate(lifter: Lifter, clips: Iterable[Clip], options: LiftOptions | None = None) -> Report:
    """Lift every clip with `options` and the clip's focal length, and measure the errors."""
    options = options or LiftOptions()
    measured = []
    for clip in tqdm(clips, unit="clip", leave=False):
        poses = lifter.lift(clip.keypoints, replace(options, focal_px=clip.focal_px))
        measured.append(_measure(poses.xyz, clip))
    return _report(measured)


def mean_pose_errors(lifter: Lifter, clips: Iterable[Clip]) -> Report:
    """The errors of always predicting the mean pose of these clips, rotated to the person: the
    baseline of a model that only knows the person's position."""
    clips = list(clips)
    turns = [lifter.prepare(c.keypoints, c.focal_px).rotation for c in clips]
    turned = [turn(c.xyz, r) for c, r in zip(clips, turns, strict=True)]
    mean = np.nanmean(np.concatenate(turned), axis=0)
    pairs = zip(clips, turns, strict=True)
    return _report([_measure(turn_back(mean, r), clip) for clip, r in pairs])


def look_ahead_errors(lifter: Lifter, clips: Iterable[Clip]) -> dict[int, float]:
    """MPJPE (mm) of the dense readout by look-ahead, the number of later frames in the window: 0 is
    without latency, f // 2 is that of the centre readout. Only windows inside their clip count.
    Mean over people."""
    people: dict[str, list[NDArray[np.float64]]] = {}
    for clip in clips:
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
    by_person = _grouped(measured, lambda row: row.clip.person)
    by_action = _grouped(measured, lambda row: row.clip.action)
    people = [_over_frames(group, lambda row: row.errors) for group in by_person.values()]
    actions = [_over_frames(group, lambda row: row.errors) for group in by_action.values()]
    joints = [_over_frames(group, lambda row: row.joints) for group in by_person.values()]
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
    names = sorted({name(row) for row in measured})
    return {each: [row for row in measured if name(row) == each] for each in names}


def _by_view(measured: list[_Measured]) -> dict[str, dict[str, float]]:
    rows = [(row, row.clip.view) for row in measured if row.clip.view is not None]
    frames = sum(row.frames for row, _ in rows)
    errors = {}
    for name, contains in CLASSES.items():
        some = [row for row, view in rows if contains(view)]
        if some:
            share = 100 * sum(row.frames for row in some) / frames
            errors[name] = {"share": share, **_over_frames(some, lambda row: row.errors)}
    return errors


def _clip_starts(
    recordings: Recordings, fps: float, frames: int = CLIP_FRAMES
) -> list[tuple[int, int]]:
    """(sequence, first source frame) of each whole clip."""
    starts = []
    for index, length in enumerate(recordings.length.tolist()):
        source_frames = frames * float(recordings.fps[index]) / fps
        count = int(length / source_frames)
        starts += [(index, round(k * source_frames)) for k in range(count)]
    return starts


def _clip(
    observation: Observation, row: int, recordings: Recordings, index: int, fps: float
) -> Clip:
    cameras = observation.cameras
    width, height = (round(side) for side in (cameras.image_size[row] * LONG_SIDE_PX).tolist())
    focal_known = bool(cameras.assumed_focal[row] == cameras.focal[row])
    joints = observation.joints[row]
    return Clip(
        person=recordings.subjects[index],
        action=recordings.actions[index],
        keypoints=KeypointSequence(
            xy=_numpy(observation.points[row] * LONG_SIDE_PX),
            confidence=_numpy(observation.score[row]),
            image_size=(width, height),
            fps=fps,
            skeleton=H36M17,
        ),
        focal_px=float(cameras.focal[row]) * LONG_SIDE_PX if focal_known else None,
        xyz=_numpy(joints - joints[:, :1]),
        size=float(recordings.chain_m[index]) / CANONICAL_CHAIN_M,
        placement=_placement(observation, row),
    )


def _placement(observation: Observation, row: int) -> Placement:
    cameras = observation.cameras
    up = cameras.rotation[row].reshape(3, 3)[:, 1]
    # the camera's world position: origin + rotation^T (0 - offset)
    height = cameras.origin[row, ..., 1].sum() - (up * cameras.offset[row].flatten()).sum()
    return Placement(_numpy(observation.joints[row, :, 0]), _numpy(up), float(height))


def _measure(xyz: Floats, clip: Clip) -> _Measured:
    """Errors over the frames with known truth."""
    known = np.isfinite(clip.xyz).all(axis=(-2, -1))
    poses = np.broadcast_to(xyz, clip.xyz.shape)
    estimated, true = poses[known], clip.xyz[known]
    errors = {
        "mpjpe": mpjpe(estimated, true),
        "p_mpjpe": p_mpjpe(estimated, true),
        "n_mpjpe": n_mpjpe(estimated, true),
        "mpjve": mpjve(poses, clip.xyz, clip.keypoints.fps),
        "pck150": pck(estimated, true),
        "auc": auc(estimated, true),
        "height_unknown_mpjpe": mpjpe(estimated, true * clip.size),
    }
    joints = joint_errors(estimated, true).mean(axis=0)
    by_joint = dict(zip(H36M17.joints, joints.tolist(), strict=True))
    return _Measured(clip, errors, by_joint, int(known.sum()))


def _over_frames(
    some: list[_Measured], figures: Callable[[_Measured], dict[str, float]]
) -> dict[str, float]:
    """The mean over clips, weighted by frames."""
    weights = [row.frames for row in some]
    rows = [figures(row) for row in some]
    return {n: float(np.average([row[n] for row in rows], weights=weights)) for n in rows[0]}


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _numpy(values: Tensor) -> NDArray[np.float32]:
    return values.numpy().astype(np.float32)
