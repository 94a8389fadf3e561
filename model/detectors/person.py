"""One person's 2D keypoints in one image, and the distance between two such detections."""

from dataclasses import dataclass

import numpy as np

from model.keypoints.sequences import Float32

VISIBLE_SCORE = 0.3
"""A keypoint with at least this score is visible."""
DUPLICATE_DISTANCE = 0.3
"""In body sizes."""
DUPLICATE_OVERLAP = 0.7


@dataclass(frozen=True)
class Person:
    """One person in one image: xy (J, 2) px, may be outside the image; score (J,) in 0..1."""

    xy: Float32
    score: Float32

    def box(self) -> tuple[Float32, Float32]:
        """Lowest and highest (x, y) of the visible joints, or of all if none is visible."""
        visible = self.score >= VISIBLE_SCORE
        xy = self.xy[visible] if visible.any() else self.xy
        return xy.min(axis=0), xy.max(axis=0)

    def middle(self) -> Float32:
        """Centre (x, y) of the box."""
        low, high = self.box()
        return (low + high) / 2

    def size(self) -> float:
        """Diagonal of the box, px; at least 1."""
        low, high = self.box()
        return max(1.0, float(np.linalg.norm(high - low)))


def distance(a: Person, b: Person) -> float:
    """Mean joint distance in body sizes, weighted by the lower of the two scores."""
    weight = np.minimum(a.score, b.score) + 1e-6
    distance_px = float(np.average(np.linalg.norm(a.xy - b.xy, axis=-1), weights=weight))
    return distance_px / max(a.size(), b.size())


def is_same(a: Person, b: Person) -> bool:
    """Whether two detections in one image are most likely duplicates, whole or in part."""
    return distance(a, b) < DUPLICATE_DISTANCE or _overlap(a, b) > DUPLICATE_OVERLAP


def _overlap(a: Person, b: Person) -> float:
    """Share of the smaller box that is inside the other."""
    (low_a, high_a), (low_b, high_b) = a.box(), b.box()
    common = np.prod(np.maximum(np.minimum(high_a, high_b) - np.maximum(low_a, low_b), 0))
    smaller = min(np.prod(high_a - low_a), np.prod(high_b - low_b))
    return float(common / max(smaller, 1.0))
