"""One person's motion on an even grid that is as long as the video. Motion files have one frame
rate from start to end, whatever pauses the video has."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.keypoints.sequences import PoseSequence
from model.lifting.grid import EVEN_S, EVEN_SHARE
from model.tracking.tracks import MAX_BRIDGED_S
from model.video.results import PersonMotion

Float64 = NDArray[np.float64]

MAX_FRAMES = 500_000
"""Of a grid: more than four hours at 30 frames/s. BVH takes some 3 kB of memory a frame."""


@dataclass(frozen=True)
class Trajectory:
    """Frames 0, 1, ... (T,) of the grid; times_s (T,); xyz (T, 17, 3) m in the axes of y_up, NaN
    where the person is missing."""

    frames: NDArray[np.int64]
    times_s: Float64
    xyz: Float64


def grid_of(person: PersonMotion, duration_s: float) -> tuple[NDArray[np.int64], Float64]:
    """The frames (T,) of a grid at the rate of the poses as long as the video, and the places (n,)
    of the person's frames on it. Raises InvalidInput for a longer grid than MAX_FRAMES."""
    fps = person.poses.fps
    positions = person.times_s * fps
    if not (np.isfinite(positions).all() and np.isfinite(duration_s * fps)):
        raise InvalidInput("a motion file needs finite times, got frames without", ("format",))
    nearest = np.round(positions)
    near = np.abs(positions - nearest) <= EVEN_SHARE + EVEN_S * fps
    on_grid = np.where(near, nearest, positions)
    if (np.diff(on_grid) > 0).all():  # else frames lie so close that they share a point
        positions = on_grid
    count = max(round(duration_s * fps), int(np.ceil(positions[-1])) + 1)
    if count > MAX_FRAMES:
        raise InvalidInput(
            f"at {fps:g} frames/s the video, with its pauses, has {count} frames; a file may have "
            f"{MAX_FRAMES}: use json, npz or csv, which keep the times",
            ("format",),
        )
    return np.arange(count), positions


def trajectory(person: PersonMotion, duration_s: float) -> Trajectory:
    """The person's joints over the whole video, on an even grid: of a frame where there is one,
    interpolated between frames that follow each other closely."""
    frames, positions = grid_of(person, duration_s)
    after = np.clip(np.searchsorted(positions, frames), 0, len(positions) - 1)
    before = np.maximum(after - 1, 0)
    own = positions[after] == frames
    steps = positions[after] - positions[before]
    usual = np.median(np.diff(positions)) if len(positions) > 1 else 1.0
    most = max(MAX_BRIDGED_S * person.poses.fps, 1.5 * usual)
    follow = np.diff(person.frames, prepend=person.frames[0])[after] == 1
    known = own | (follow & (steps <= most) & (frames > positions[before]))
    known &= frames <= positions[-1]
    share = np.where(own, 1.0, (frames - positions[before]) / np.maximum(steps, 1e-9))
    xyz = np.full((len(frames), *person.poses.xyz.shape[1:]), np.nan)
    poses, weight = y_up(person.poses), share[known][:, None, None]
    xyz[known] = poses[before[known]] * (1 - weight) + poses[after[known]] * weight
    nearest = np.round(positions).astype(np.int64)
    alone = ~known[nearest]  # frames without a neighbour, between points of the grid
    xyz[nearest[alone]] = poses[alone]
    return Trajectory(frames, frames / person.poses.fps, xyz)


def y_up(poses: PoseSequence) -> Float64:
    """(T, 17, 3) m in the axes of motion files: x right, y up, z towards the camera. World axes are
    these; camera axes (y down, z away from the camera) are rotated by 180 degrees about x."""
    xyz = poses.xyz.astype(np.float64)
    # adding 0 turns -0 into 0
    return xyz if poses.space == "world" else xyz * (1.0, -1.0, -1.0) + 0.0
