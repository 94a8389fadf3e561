"""How steady keypoints and poses are: what can be said of a detector without the truth."""

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
    """Median size of a joint's second difference over frames that follow each other, as a share of
    the body's size (the diagonal of the box of its joints); NaN where there is none.

    `frames` (T,) says which frames of the video these are. Real acceleration is in it, too, the
    same for every detector.
    """
    xy, seen = keypoints.xy, keypoints.confidence > 0
    bend = np.linalg.norm(xy[2:] - 2 * xy[1:-1] + xy[:-2], axis=-1)  # (T - 2, J)
    follow = (np.diff(frames)[1:] == 1) & (np.diff(frames)[:-1] == 1)
    counted = seen[2:] & seen[1:-1] & seen[:-2] & follow[:, None]
    if not counted.any():
        return float("nan")
    low, high = (
        end(np.where(seen[..., None], xy, outside), axis=1)[1:-1]
        for end, outside in ((np.min, np.inf), (np.max, -np.inf))
    )
    size_px = np.maximum(np.linalg.norm(high - low, axis=-1), 1)
    return float(np.median((bend / size_px[:, None])[counted]))


def spread(keypoints: KeypointSequence) -> float:
    """How far a person gets from their mean place: median over the joints seen throughout of the
    standard deviation over time, as a share of the body's size; NaN where there is no such joint.
    Of someone in a picture that hangs in view, 0.002; of real people at hand in a second, 0.03."""
    throughout = (keypoints.confidence > 0).all(axis=0)
    xy = keypoints.xy[:, throughout].astype(np.float64)
    if not xy.size:
        return float("nan")
    size_px = max(1.0, float(np.median(np.linalg.norm(np.ptp(xy, axis=1), axis=-1))))
    return float(np.median(np.linalg.norm(xy.std(axis=0), axis=-1)) / size_px)


def limb_spread(poses: PoseSequence) -> float:
    """How much the lengths of thighs, shanks, upper arms and forearms vary over time: standard
    deviation as a share of the mean, averaged over the eight. A person's do not vary at all."""
    starts, ends = (list(joints) for joints in zip(*LIMBS, strict=True))
    lengths = np.linalg.norm(poses.xyz[:, starts] - poses.xyz[:, ends], axis=-1)  # (T, 8)
    return float(np.mean(lengths.std(axis=0) / np.maximum(lengths.mean(axis=0), 1e-6)))
