"""The detector interface, and opening a detector by name."""

from importlib import import_module
from typing import Protocol

from model.detectors.names import read_name
from model.detectors.person import Person
from model.errors import DetectorUnavailable, InvalidInput
from model.keypoints.sequences import Image
from model.keypoints.skeleton import Skeleton


class Detector(Protocol):
    """Detects people in images. It may follow them from frame to frame: open one per video or
    stream, and pass rising `time_s`.

    A user's class is named `class:PACKAGE.CLASS` and constructed as CLASS(max_people, device). It
    must have name, version, skeleton and detect().
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def skeleton(self) -> Skeleton: ...

    def detect(self, image: Image, time_s: float) -> list[Person]:
        """The people in an upright RGB image (H, W, 3); an empty list if there are none."""
        ...

    def close(self) -> None:
        """Release resources, if any."""


def open_detector(name: str, max_people: int, device: str = "cpu") -> Detector:
    """The detector of that name (model.detectors.names) on that device; close it after use.

    Raises UnknownName, InvalidInput, DetectorUnavailable,
    DeviceUnavailable.
    """
    if max_people < 1:
        raise InvalidInput(
            f"max_people must be at least 1, got {max_people}", where=("max_people",)
        )
    parsed = read_name(name)
    if parsed.kind == "mediapipe":
        from model.detectors.mediapipe.landmarker import MediaPipeDetector

        return MediaPipeDetector(max_people, parsed.model)
    if parsed.kind == "rtmpose":
        from model.detectors.rtmpose import open_rtmpose

        return open_rtmpose(parsed, max_people, device)
    if parsed.kind == "mmpose":
        from model.detectors.mmpose.detector import open_mmpose

        return open_mmpose(parsed, max_people, device)
    return _open_class(parsed.model, max_people, device)


def _open_class(path: str, max_people: int, device: str) -> Detector:
    module, _, name = path.rpartition(".")
    try:
        detector_class = getattr(import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise DetectorUnavailable(
            f"the detector class {path} cannot be loaded ({error}); its package must be on "
            "Python's module path (PYTHONPATH)"
        ) from error
    detector: Detector = detector_class(max_people, device)
    return detector
