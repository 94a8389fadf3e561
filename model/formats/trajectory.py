"""One person's joints in every frame from their first to their last, as motion files need them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.keypoints.sequences import PoseSequence
from model.video.results import PersonMotion

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory:
    """Successive frames (T,); times_s (T,); xyz (T, 17, 3) m in the axes of y_up, NaN where the
    person is missing."""

    frames: NDArray[np.int64]
    times_s: Float64
    xyz: Float64


def trajectory(person: PersonMotion) -> Trajectory:
    """The person's frames with the gaps filled in; times in gaps are interpolated."""
    frames = np.arange(person.frames[0], person.frames[-1] + 1)
    xyz = np.full((len(frames), *person.poses.xyz.shape[1:]), np.nan)
    xyz[person.frames - frames[0]] = y_up(person.poses)
    return Trajectory(frames, np.interp(frames, person.frames, person.times_s), xyz)


def y_up(poses: PoseSequence) -> Float64:
    """(T, 17, 3) m in the axes of motion files: x right, y up, z towards the camera. World axes are
    these; camera axes (y down, z away from the camera) are rotated by 180 degrees about x."""
    xyz = poses.xyz.astype(np.float64)
    # adding 0 turns -0 into 0
    return xyz if poses.space == "world" else xyz * (1.0, -1.0, -1.0) + 0.0
