"""Top-down detection: person boxes first, then the keypoints in each box."""

from collections.abc import Callable

import numpy as np

from model.detectors.boxes import BoxDetector
from model.detectors.following import SEARCH_EVERY_S
from model.detectors.person import VISIBLE_SCORE, Person
from model.errors import DetectorUnavailable
from model.keypoints.sequences import Float32, Image
from model.keypoints.skeleton import Skeleton

Estimate = Callable[[Image, Float32], list[Person]]
"""An image and n boxes in it, n > 0 -> the n people in them."""


class TopDownDetector:
    """Searches for boxes every 0.3 s and uses each person's last place in between; one per video.

    Without boxes the result is empty: the whole image is never taken for a person.
    """

    def __init__(
        self,
        name_and_version: tuple[str, str],
        skeleton: Skeleton,
        boxes: BoxDetector,
        estimate: Estimate,
        max_people: int,
    ):
        self.name, self.version = name_and_version
        self.skeleton = skeleton
        self._boxes = boxes
        self._estimate = estimate
        self._max_people = max_people
        self._last_boxes = np.zeros((0, 4), np.float32)
        self._search_at_s = -np.inf

    def detect(self, image: Image, time_s: float) -> list[Person]:
        """The people in the next image."""
        boxes = self._find(image, time_s)[: self._max_people]
        if not len(boxes):
            self._last_boxes = boxes
            return []
        people = self._estimate(image, boxes)
        next_boxes = [_next_box(p, b) for p, b in zip(people, boxes, strict=True)]
        self._last_boxes = np.array(next_boxes, np.float32)
        return people

    def close(self) -> None:
        self._boxes.close()

    def _find(self, image: Image, time_s: float) -> Float32:
        if self._boxes.follows and len(self._last_boxes) and time_s < self._search_at_s:
            return self._last_boxes
        self._search_at_s = time_s + SEARCH_EVERY_S
        return self._boxes.find(image, time_s)


def _next_box(person: Person, box: Float32) -> Float32:
    """Around the joints if at least half are visible, else the same box."""
    if np.mean(person.score >= VISIBLE_SCORE) < 0.5:
        return box
    return np.concatenate(person.box())


def to_people(xy: Float32, score: Float32, network: str) -> list[Person]:
    """A network's output, xy (n, J, 2) px and score (n, J), as people.

    Scores of SimCC and heatmaps are peak heights, not probabilities, and are clipped to 0..1. A
    joint that is not finite gets score 0, so that a single joint does not fail a whole video.
    Raises DetectorUnavailable if no joint of a person is finite.
    """
    finite = np.isfinite(xy).all(axis=-1) & np.isfinite(score)
    if not finite.any(axis=-1).all():
        raise DetectorUnavailable(
            f"the output of network {network} is not finite: its file is damaged, or this device "
            "computes it wrongly"
        )
    xy = np.where(finite[..., None], xy, 0).astype(np.float32)
    score = np.clip(np.where(finite, score, 0), 0, 1).astype(np.float32)
    return [Person(*row) for row in zip(xy, score, strict=True)]
