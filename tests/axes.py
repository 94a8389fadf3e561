"""Poses in the axes of motion files: an oracle independent of model.formats.trajectory."""

import numpy as np
from numpy.typing import NDArray

from model import PoseSequence


def y_up(poses: PoseSequence) -> NDArray[np.float64]:
    """(T, 17, 3) m: x right, y up, z towards the camera."""
    x, y, z = np.moveaxis(poses.xyz.astype(np.float64), -1, 0)
    if poses.space == "world":
        return np.stack([x, y, z], axis=-1)
    return np.stack([x, -y, -z], axis=-1)
