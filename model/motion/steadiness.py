"""Steadiness of keypoints and poses: quality measures that need no ground truth."""

import numpy as np
from numpy.typing import NDArray

from model.keypoints.sequences import KeypointSequence, PoseSequence
from model.keypoints.skeleton import H36M17

LIMBS = tuple(
    (H36M17.index(f"{side}_{start}"), H36M17.index(f"{side}_{end}"))
    for side in ("left", "right")
    for start, end in (
        ("hip", "knee"),
        ("knee", "ankle"),
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
    )
)


def keypoint_jitter(keypoints: KeypointSequence, frames: NDArray[np.int64]) -> float:
    """Median length of a joint's second difference over successive frames, relative to the diagonal
    of the box of the person's joints; NaN if there are no three successive frames.

    `frames` (T,) are the frame numbers in the video. Real acceleration is included; it is the same
    for every detector.
    """
    xy, seen = keypoints.xy, keypoints.confidence > 0
    second_difference = np.linalg.norm(xy[2:] - 2 * xy[1:-1] + xy[:-2], axis=-1)  # (T - 2, J)
    successive = (np.diff(frames)[1:] == 1) & (np.diff(frames)[:-1] == 1)
    counted = seen[2:] & seen[1:-1] & seen[:-2] & successive[:, None]
    if not counted.any():
        return float("nan")
    low, high = (
        end(np.where(seen[..., None], xy, outside), axis=1)[1:-1]
        for end, outside in ((np.min, np.inf), (np.max, -np.inf))
    )
    size_px = np.maximum(np.linalg.norm(high - low, axis=-1), 1)
    return float(np.median((second_difference / size_px[:, None])[counted]))


def spread(keypoints: KeypointSequence) -> float:
    """How much a person moves: median over the joints seen in every frame of the standard deviation
    of their position, relative to the body's size; NaN if there are no such joints. Measured: 0.002
    for a person on a poster, 0.03 for real people within a second."""
    always_seen = (keypoints.confidence > 0).all(axis=0)
    xy = keypoints.xy[:, always_seen].astype(np.float64)
    if not xy.size:
        return float("nan")
    size_px = max(1.0, float(np.median(np.linalg.norm(np.ptp(xy, axis=1), axis=-1))))
    return float(np.median(np.linalg.norm(xy.std(axis=0), axis=-1)) / size_px)


def limb_spread(poses: PoseSequence) -> float:
    """Variation of the lengths of thighs, shanks, upper arms and forearms over time: the standard
    deviation relative to the mean, averaged over the eight limbs. 0 for a real body."""
    starts, ends = (list(joints) for joints in zip(*LIMBS, strict=True))
    lengths = np.linalg.norm(poses.xyz[:, starts] - poses.xyz[:, ends], axis=-1)  # (T, 8)
    return float(np.mean(lengths.std(axis=0) / np.maximum(lengths.mean(axis=0), 1e-6)))
