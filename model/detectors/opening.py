"""The detector of a given name, opened."""

from importlib import import_module
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.detectors.names import DetectorName, read_name
from model.detectors.person import Person
from model.errors import DetectorUnavailable, InvalidInput
from model.keypoints.skeleton import Skeleton


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
        from model.detectors.mediapipe.landmarker import MediaPipeDetector

        return MediaPipeDetector(max_people, asked.model)
    if asked.kind == "rtmpose":
        from model.detectors.rtmpose import open_rtmpose

        return open_rtmpose(asked, max_people, device)
    if asked.kind == "mmpose":
        from model.detectors.mmpose.detector import open_mmpose

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
