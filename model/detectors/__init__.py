"""A picture -> the 2D keypoints of the people in it."""

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.detectors.names import DetectorName, read_name
from model.errors import DetectorUnavailable, InvalidInput
from model.sequences import Float32
from model.skeleton import Skeleton

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


class Detector(Protocol):
    """Finds people. It may follow them from picture to picture, so each video or stream opens its
    own, and `time_s` runs forward. Nobody in the picture is an empty list.

    A class of one's own is named `class:PACKAGE.CLASS` and made by CLASS(max_people, device). It
    needs the three names and `detect`.
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

    def close(self) -> None:
        """Let go of what is held, if anything is."""


def open_detector(name: str, max_people: int, device: str = "cpu") -> Detector:
    """The detector of that name (model.detectors.names); close it after use.

    `device` is the lifter's. Raises UnknownName, InvalidInput, DetectorUnavailable,
    DeviceUnavailable.
    """
    if max_people < 1:
        raise InvalidInput(f"max_people is 1 or more, got {max_people}", where=("max_people",))
    asked = read_name(name)
    if asked.kind == "mediapipe":
        from model.detectors.mediapipe import MediaPipeDetector

        return MediaPipeDetector(max_people, asked.model)
    if asked.kind == "rtmpose":
        from model.detectors.rtmpose import open_rtmpose

        return open_rtmpose(asked, max_people, device)
    if asked.kind == "mmpose":
        from model.detectors.mmpose import open_mmpose

        return open_mmpose(asked, max_people, device)
    return _open_class(asked, max_people, device)


def _open_class(asked: DetectorName, max_people: int, device: str) -> Detector:
    module, _, name = asked.model.rpartition(".")
    try:
        made = getattr(import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise DetectorUnavailable(
            f"the detector class {asked.model} cannot be loaded ({error}); "
            "it has to lie where Python finds it, see PYTHONPATH"
        ) from error
    detector: Detector = made(max_people, device)
    return detector
