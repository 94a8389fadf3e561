"""Which detectors can be opened here."""

from importlib.util import find_spec

from model.detectors.names import DETECTORS
from model.detectors.published import POSE_MODELS, is_here


def installed_detectors() -> list[str]:
    """Of the known names, those whose packages are installed and, for rtmpose, whose file was
    downloaded before."""
    return [name for name in DETECTORS if _is_installed(name)]


def _is_installed(name: str) -> bool:
    kind, _, model = name.partition(":")
    return is_here(POSE_MODELS[model]) if kind == "rtmpose" else find_spec(kind) is not None
