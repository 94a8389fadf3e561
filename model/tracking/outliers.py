"""Outlier removal: keypoints that jump off their path are found by Hampel's test and replaced.

Hampel, "The Influence Curve and Its Role in Robust Estimation", JASA 69, 1974; as a filter over
time: Pearson, "Outliers in Process Modeling and Identification", IEEE Trans. CST 10, 2002.
"""

from dataclasses import replace

import numpy as np
from scipy.ndimage import median_filter

from model.keypoints.sequences import Bools, Float32, KeypointSequence

WINDOW_S = 0.2
"""Total length; real movements there and back take longer."""
THRESHOLD = 3.0
"""In standard deviations, estimated from the window's median."""
GAUSSIAN = 1.4826
"""Standard deviation of a normal distribution / its median absolute deviation."""
FLOOR = 0.02
"""In body heights; keypoints closer to their path are never outliers."""


def without_outliers(sequence: KeypointSequence) -> tuple[KeypointSequence, Bools]:
    """Move each outlier to the median of its window -> the sequence and which (T, J) were outliers.
    `sequence` has no gaps; a window counts frames in which the joint was seen."""
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


def hampel(points: Float32, half: int, floor: float) -> tuple[Float32, Bools]:
    """Points (n, 2) -> medians (n, 2) over each point and `half` neighbours per side, and which
    points (n,) are too far from theirs, at least `floor`."""
    size = 2 * half + 1
    path = median_filter(points, (size, 1), mode="nearest")
    away = np.linalg.norm(points - path, axis=-1)
    spread = GAUSSIAN * median_filter(away, size, mode="nearest")
    return path, away > np.maximum(THRESHOLD * spread, floor)


def _height_px(xy: Float32, seen: Bools) -> float:
    """Median over frames of the longer side of the box of seen joints."""
    inside = np.where(seen[..., None], xy, np.nan)[seen.any(axis=1)]
    if not len(inside):
        return 0.0
    sides = np.nanmax(inside, axis=1) - np.nanmin(inside, axis=1)
    return float(np.median(sides.max(axis=-1)))
