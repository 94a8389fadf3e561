"""A picture -> the 2D keypoints of the people in it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput, UnknownName
from model.sequences import Float32
from model.skeleton import Skeleton

DETECTORS = ("mediapipe",)


@dataclass(frozen=True)
class Person:
    """One person in one picture: xy (J, 2) px, also outside the picture; score (J,) in 0..1."""

    xy: Float32
    score: Float32


class Detector(Protocol):
    """Finds people. It may follow them from picture to picture, so each video or stream opens its
    own, and `time_s` runs forward. Nobody in the picture is an empty list.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def skeleton(self) -> Skeleton: ...

    def detect(self, image: NDArray[np.uint8], time_s: float) -> list[Person]:
        """The people in an upright RGB picture (H, W, 3)."""
        ...

    def close(self) -> None: ...


def open_detector(name: str, max_people: int) -> Detector:
    """The detector of that name; close it after use. Raises UnknownName, DetectorUnavailable."""
    if max_people < 1:
        raise InvalidInput(f"max_people is 1 or more, got {max_people}", where=("max_people",))
    if name == "mediapipe":
        from model.detectors.mediapipe import MediaPipeDetector

        return MediaPipeDetector(max_people)
    raise UnknownName("detector", name, DETECTORS)
