"""Which detectors can be opened here."""

from collections.abc import Mapping
from importlib.util import find_spec

from model.detectors.names import DETECTORS, DetectorName, read_name
from model.detectors.opening import open_detector
from model.detectors.published import BOX_MODELS, POSE_MODELS, is_here
from model.errors import DetectorUnavailable

_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "mediapipe": ("mediapipe",),
    "mmpose": ("torch", "mmcv", "mmengine", "mmdet", "mmpose"),
}
_INSTALLED_BY = {"mediapipe": "pip install --no-deps mediapipe==0.10.21", "mmpose": "make mmpose"}


def installed_detectors() -> list[str]:
    """Of the known names, those whose packages are installed and, for rtmpose and
    mediapipe:heavy, whose file was downloaded before."""
    return [name for name in DETECTORS if _is_installed(name)]


def _is_installed(name: str) -> bool:
    kind, _, model = name.partition(":")
    if kind == "rtmpose":
        return is_here(POSE_MODELS[model])
    return find_spec(kind) is not None and (model != "heavy" or _is_heavy_here())


def _is_heavy_here() -> bool:
    # late, because that module is also run as a program
    from model.detectors.mediapipe.heavy import model_path

    return model_path().exists()


def check_detector(name: str, device: str) -> None:
    """What can be said of a detector before its packages are loaded, which takes seconds, and
    before anything is downloaded. Raises as open_detector."""
    asked = read_name(name)
    missing = [package for package in _PACKAGES.get(asked.kind, ()) if find_spec(package) is None]
    if missing:
        raise DetectorUnavailable(
            f"the detector {asked.kind} needs {', '.join(missing)}, not installed here: "
            f"`{_INSTALLED_BY[asked.kind]}`"
        )
    if asked.kind == "mediapipe" and asked.model == "heavy":
        from model.detectors.mediapipe.heavy import heavy_model

        heavy_model()
    if asked.kind == "rtmpose" and not _is_download(asked):
        open_detector(name, 1, device).close()


def _is_download(asked: DetectorName) -> bool:
    boxes = asked.boxes.removeprefix("yolox:").removeprefix("rtmdet:")
    return any(
        name in {*POSE_MODELS, *BOX_MODELS} or name.startswith(("https://", "http://"))
        for name in (asked.model, boxes)
    )
