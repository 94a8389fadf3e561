"""Keypoints that leave their own path for a moment: found by Hampel's test, and put back on it.

Hampel, "The Influence Curve and Its Role in Robust Estimation", JASA 69, 1974; as a filter over
time: Pearson, "Outliers in Process Modeling and Identification", IEEE Trans. CST 10, 2002.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from model.keypoints.sequences import Float32, KeypointSequence

WINDOW_S = 0.2
"""Before and after together; a true movement there and back takes longer."""
THRESHOLD = 3.0
"""How many standard deviations, told by the window's median, are too far."""
GAUSSIAN = 1.4826
"""Standard deviation of a normal distribution for each unit of its median absolute deviation."""
FLOOR = 0.02
"""What is nearer to its path than this share of the body's height is no outlier."""

Bool = NDArray[np.bool_]


def without_outliers(sequence: KeypointSequence) -> tuple[KeypointSequence, Bool]:
    """One person's frames, without gaps, with each outlier at its window's median place, and which
    (T, J) were outliers. The window is counted in frames in which the joint was seen."""
    seen = sequence.confidence > 0
    half = max(1, round(WINDOW_S * sequence.fps / 2))
    floor_px = FLOOR * _height_px(sequence.xy, seen)
    xy, outliers = sequence.xy.copy(), np.zeros_like(seen)
    for joint in range(xy.shape[1]):
        rows = np.flatnonzero(seen[:, joint])
        if len(rows) > 2 * half:
            path, away = hampel(sequence.xy[rows, joint], half, floor_px)
            outliers[rows, joint] = away
            xy[rows[away], joint] = path[away]
    return replace(sequence, xy=xy), outliers


def hampel(points: Float32, half: int, floor: float) -> tuple[Float32, Bool]:
    """Points (n, 2) -> the medians (n, 2) of each one and `half` on both sides, and which points
    lie too far from theirs (n,); never one within `floor`."""
    size = 2 * half + 1
    path = median_filter(points, (size, 1), mode="nearest")
    away = np.linalg.norm(points - path, axis=-1)
    spread = GAUSSIAN * median_filter(away, size, mode="nearest")
    return path, away > np.maximum(THRESHOLD * spread, floor)


def _height_px(xy: Float32, seen: Bool) -> float:
    """The median over frames of the longer side of the box of seen joints."""
    inside = np.where(seen[..., None], xy, np.nan)[seen.any(axis=1)]
    if not len(inside):
        return 0.0
    sides = np.nanmax(inside, axis=1) - np.nanmin(inside, axis=1)
    return float(np.median(sides.max(axis=-1)))
