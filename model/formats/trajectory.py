"""One person's joints on every frame from their first to their last: what motion files hold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.keypoints.sequences import PoseSequence
from model.video.results import PersonMotion

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory:
    """frames (T,) follow each other; times_s (T,); xyz (T, 17, 3) m in the axes of y_up, NaN while
    the person is away."""

    frames: NDArray[np.int64]
    times_s: Float64
    xyz: Float64


def trajectory(person: PersonMotion) -> Trajectory:
    """The frames in between in which the person was away, put in; their times are guessed."""
    frames = np.arange(person.frames[0], person.frames[-1] + 1)
    xyz = np.full((len(frames), *person.poses.xyz.shape[1:]), np.nan)
    xyz[person.frames - frames[0]] = y_up(person.poses)
    return Trajectory(frames, np.interp(frames, person.frames, person.times_s), xyz)


def y_up(poses: PoseSequence) -> Float64:
    """(T, 17, 3) m: x right, y up, z towards the camera. World axes are so; camera axes (x right, y
    down, z away from the camera) make half a turn about x."""
    xyz = poses.xyz.astype(np.float64)
    # 0 turns -0 into 0
    return xyz if poses.space == "world" else xyz * (1.0, -1.0, -1.0) + 0.0
