"""Options, each declared once: default, limits and meaning, for Python, HTTP and command line."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

from model.errors import InvalidInput, UnknownName

READOUTS = ("centre", "dense")


def option(
    default: Any,
    meaning: str,
    *,
    choices: Sequence[str] = (),
    least: float | None = None,
    most: float | None = None,
) -> Any:
    """A field of an options dataclass; `least` and `most` limit a number."""
    metadata = {"meaning": meaning, "choices": tuple(choices), "least": least, "most": most}
    return field(default=default, metadata=metadata)


def check_options(options: Any) -> None:
    """Raises UnknownName or InvalidInput for a value outside its field's choices or limits."""
    for option in fields(options):
        name, value, limits = option.name, getattr(options, option.name), option.metadata
        if limits["choices"] and value not in limits["choices"]:
            raise UnknownName(name, str(value), limits["choices"])
        if value is None or limits["least"] is None:
            continue
        low, high = limits["least"], limits["most"]
        if not isfinite(value) or value < low or (high is not None and value > high):
            allowed = f"{low:g} or more" if high is None else f"between {low:g} and {high:g}"
            raise InvalidInput(f"{name} must be {allowed}, got {value}", (name,))


@dataclass(frozen=True)
class LiftOptions:
    """How a sequence is lifted. Raises InvalidInput for a value outside its limits."""

    readout: str = option(
        "centre",
        "centre: one window for each frame; dense: faster, one window for many frames",
        choices=READOUTS,
    )
    flip: bool = option(False, "also lift the mirrored keypoints and average; twice the cost")
    focal_px: float | None = option(
        None,
        "the camera's focal length, px; default: that of the video file, else the longer side of "
        "the image",
        least=1,
        most=1e7,
    )
    height_m: float | None = option(
        None, "the person's standing height, m; default: that of the model", least=0.3, most=3
    )

    def __post_init__(self) -> None:
        check_options(self)
