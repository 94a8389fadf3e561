"""Strided lifting for high frame rates: every k-th frame is lifted, the rest is interpolated."""

import numpy as np
from numpy.typing import ArrayLike

from model.keypoints.sequences import Float32, Indices


def strided_frames(count: int, stride: int) -> Indices:
    """The frames (n,) of `count` that are lifted: every k-th from the first, and the last."""
    last = count - 1
    return np.append(np.arange(0, last, stride), last)


def interpolated(lifted: Indices, xyz: Float32, frames: ArrayLike) -> Float32:
    """Poses (m, 17, 3) at `frames` (m,), from the poses xyz (n, 17, 3) of the frames `lifted` (n,).

    Interpolation is linear per joint, which shortens a bone that turns by an angle a between two
    lifted frames by at most 1 - cos(a/2). Lifted frames keep their poses bit for bit.
    """
    at = np.asarray(frames)
    after = np.clip(np.searchsorted(lifted, at), 0, len(lifted) - 1)
    before = np.maximum(after - 1, 0)
    step = np.maximum(lifted[after] - lifted[before], 1)
    share = np.clip(np.where(at >= lifted[after], 1, (at - lifted[before]) / step), 0, 1)
    weight = share.astype(np.float32)[:, None, None]
    return xyz[before] * (1 - weight) + xyz[after] * weight
