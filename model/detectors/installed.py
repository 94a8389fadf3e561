"""Checks of which detectors can be opened, without loading their packages."""

from collections.abc import Mapping
from importlib.util import find_spec

from model.detectors.names import DETECTORS, DetectorName, read_name
from model.detectors.opening import open_detector
from model.detectors.published import BOX_MODELS, POSE_MODELS, is_downloaded
from model.errors import DetectorUnavailable

_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "mediapipe": ("mediapipe",),
    "mmpose": ("torch", "mmcv", "mmengine", "mmdet", "mmpose"),
}
_INSTALLED_BY = {"mediapipe": "pip install --no-deps mediapipe==0.10.21", "mmpose": "make mmpose"}


def installed_detectors() -> list[str]:
    """The known names whose packages are installed and, for rtmpose and mediapipe:heavy, whose
    model file has been downloaded."""
    return [name for name in DETECTORS if _is_installed(name)]


def _is_installed(name: str) -> bool:
    kind, _, model = name.partition(":")
    if kind == "rtmpose":
        return is_downloaded(POSE_MODELS[model])
    return find_spec(kind) is not None and (model != "heavy" or _is_heavy_downloaded())


def _is_heavy_downloaded() -> bool:
    # imported here because that module is also run as a program
    from model.detectors.mediapipe.heavy import model_path

    return model_path().exists()


def check_detector(name: str, device: str) -> None:
    """Check a detector as far as possible without loading its packages, which takes seconds, and
    without downloads. Raises as open_detector."""
    parsed = read_name(name)
    missing = [package for package in _PACKAGES.get(parsed.kind, ()) if find_spec(package) is None]
    if missing:
        raise DetectorUnavailable(
            f"the detector {parsed.kind} needs {', '.join(missing)}, not installed here: "
            f"`{_INSTALLED_BY[parsed.kind]}`"
        )
    if parsed.kind == "mediapipe" and parsed.model == "heavy":
        from model.detectors.mediapipe.heavy import heavy_model

        heavy_model()
    if parsed.kind == "rtmpose" and not _needs_download(parsed):
        open_detector(name, 1, device).close()


def _needs_download(name: DetectorName) -> bool:
    boxes = name.boxes.removeprefix("yolox:").removeprefix("rtmdet:")
    return any(
        model in {*POSE_MODELS, *BOX_MODELS} or model.startswith(("https://", "http://"))
        for model in (name.model, boxes)
    )
