"""Which detectors can be opened here."""

from importlib.util import find_spec

from model.detectors.names import DETECTORS
from model.detectors.published import POSE_MODELS, is_here


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
    from model.detectors.heavy import model_path

    return model_path().exists()
