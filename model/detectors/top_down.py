"""People one by one: boxes first, then a network that looks into each."""

from collections.abc import Callable

import numpy as np

from model.detectors.boxes import BoxFinder
from model.detectors.following import SEARCH_EVERY_S
from model.detectors.person import VISIBLE_SCORE, Person
from model.detectors.view import Picture
from model.errors import DetectorUnavailable
from model.keypoints.sequences import Float32
from model.keypoints.skeleton import Skeleton

Estimate = Callable[[Picture, Float32], list[Person]]
"""A picture and n boxes in it, n > 0 -> the n people in them."""


class TopDownDetector:
    """Looks for boxes every 0.3 s, and in between where each person was last; one for each video.

    With no box there is nobody: an empty list, never a person made up of the whole picture.
    """

    def __init__(
        self,
        named: tuple[str, str],
        skeleton: Skeleton,
        boxes: BoxFinder,
        estimate: Estimate,
        max_people: int,
    ):
        self.name, self.version = named
        self.skeleton = skeleton
        self._boxes = boxes
        self._estimate = estimate
        self._max_people = max_people
        self._last = np.zeros((0, 4), np.float32)
        self._search_at_s = -np.inf

    def detect(self, image: Picture, time_s: float) -> list[Person]:
        """The people in the next picture."""
        boxes = self._find(image, time_s)[: self._max_people]
        if not len(boxes):
            self._last = boxes
            return []
        people = self._estimate(image, boxes)
        self._last = np.array([_box(p, b) for p, b in zip(people, boxes, strict=True)], np.float32)
        return people

    def close(self) -> None:
        self._boxes.close()

    def _find(self, image: Picture, time_s: float) -> Float32:
        if self._boxes.follows and len(self._last) and time_s < self._search_at_s:
            return self._last
        self._search_at_s = time_s + SEARCH_EVERY_S
        return self._boxes.find(image, time_s)


def _box(person: Person, box: Float32) -> Float32:
    """Where to look next: around the joints, if most are seen, else where they were looked for."""
    if np.mean(person.score >= VISIBLE_SCORE) < 0.5:
        return box
    return np.concatenate(person.box())


def seen_people(xy: Float32, score: Float32, network: str) -> list[Person]:
    """What a network said, xy (n, J, 2) px and score (n, J), as people.

    Scores of SimCC and heatmaps are heights of a peak, not probabilities, and are cut to 0..1. A
    joint whose numbers are not finite is not seen: one joint in one frame must not end a video. A
    network that says nothing finite of a person is broken, and DetectorUnavailable says so.
    """
    finite = np.isfinite(xy).all(axis=-1) & np.isfinite(score)
    if not finite.any(axis=-1).all():
        raise DetectorUnavailable(
            f"the network {network} answers with numbers that are not finite: its file is damaged, "
            "or this device computes it wrongly"
        )
    xy = np.where(finite[..., None], xy, 0).astype(np.float32)
    score = np.clip(np.where(finite, score, 0), 0, 1).astype(np.float32)
    return [Person(*one) for one in zip(xy, score, strict=True)]
