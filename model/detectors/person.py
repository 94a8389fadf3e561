"""One person in one picture: their 2D keypoints, and how alike two of them are."""

from dataclasses import dataclass

import numpy as np

from model.keypoints.sequences import Float32

VISIBLE_SCORE = 0.3
DUPLICATE_DISTANCE = 0.3
"""In body sizes."""
DUPLICATE_OVERLAP = 0.7


@dataclass(frozen=True)
class Person:
    """One person in one picture: xy (J, 2) px, also outside the picture; score (J,) in 0..1."""

    xy: Float32
    score: Float32

    def box(self) -> tuple[Float32, Float32]:
        """Least and greatest (x, y) of the visible joints; of all, where none is visible."""
        visible = self.score >= VISIBLE_SCORE
        xy = self.xy[visible] if visible.any() else self.xy
        return xy.min(axis=0), xy.max(axis=0)

    def middle(self) -> Float32:
        """Middle (x, y) of the box."""
        low, high = self.box()
        return (low + high) / 2

    def size(self) -> float:
        """Diagonal of the box, px; at least 1."""
        low, high = self.box()
        return max(1.0, float(np.linalg.norm(high - low)))


def distance(a: Person, b: Person) -> float:
    """Mean distance of two people's joints, weighted by how well both are seen, in body sizes."""
    weight = np.minimum(a.score, b.score) + 1e-6
    apart_px = float(np.average(np.linalg.norm(a.xy - b.xy, axis=-1), weights=weight))
    return apart_px / max(a.size(), b.size())


def is_same(a: Person, b: Person) -> bool:
    """Whether two found in one picture are most likely one person found twice, or in part."""
    return distance(a, b) < DUPLICATE_DISTANCE or _overlap(a, b) > DUPLICATE_OVERLAP


def _overlap(a: Person, b: Person) -> float:
    """Share of the smaller one's box that lies in the other's."""
    (low_a, high_a), (low_b, high_b) = a.box(), b.box()
    common = np.prod(np.maximum(np.minimum(high_a, high_b) - np.maximum(low_a, low_b), 0))
    smaller = min(np.prod(high_a - low_a), np.prod(high_b - low_b))
    return float(common / max(smaller, 1.0))
