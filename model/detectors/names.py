"""Parsing of detector names, as settings and the command line have them.

    mediapipe[:heavy]             heavy: the larger landmark model
    rtmpose:MODEL                 a known model's short name, an ONNX file or a URL
    mmpose[:CONFIG[,CHECKPOINT]]  a model of MMPose, or a config and a checkpoint
    class:PACKAGE.CLASS           a class of the user, see Detector

Options: `,boxes=...` is the box detector of a top-down model; `,joints=...` is the joint set of a
model whose file does not define it.
"""

import re
from dataclasses import dataclass

from model.detectors.published import POSE_MODELS
from model.errors import InvalidInput, UnknownName
from model.keypoints.joint_sets import skeleton_named

MEDIAPIPE_MODELS = ("heavy",)
"""In addition to the one in its wheel."""

DETECTORS = (
    "mediapipe",
    *(f"mediapipe:{model}" for model in MEDIAPIPE_MODELS),
    "mmpose",
    *(f"rtmpose:{name}" for name in POSE_MODELS),
)
"""The known names. Safe in requests: none opens a file or URL chosen by the client."""

_KIND_AND_REST = re.compile(r"([^:,]*)[:,]?(.*)", re.DOTALL)
_OPTION = re.compile(r"(boxes|joints)=(.*)", re.DOTALL)
_MAX_PARTS = {"mediapipe": 1, "rtmpose": 1, "mmpose": 2, "class": 1}
"""After the kind, without options."""


@dataclass(frozen=True)
class DetectorName:
    """The parts of a name; empty if absent."""

    kind: str
    model: str = ""
    checkpoint: str = ""
    boxes: str = ""
    joints: str = ""


def read_name(name: str) -> DetectorName:
    """Parse a name. Raises UnknownName or InvalidInput if it is malformed; that its files exist is
    checked on opening."""
    kind, rest = _KIND_AND_REST.findall(name)[0]
    if kind not in _MAX_PARTS:
        raise UnknownName("detector", name, (*DETECTORS, "rtmpose:FILE", "mmpose:CONFIG"))
    parts = rest.split(",") if rest else []
    options = [match for part in parts if (match := _OPTION.fullmatch(part))]
    values = [part for part in parts if not _OPTION.fullmatch(part)]
    if len(values) > _MAX_PARTS[kind] or not all(values):
        raise InvalidInput(f"detector {name[:80]!r}: {_expected(kind)}", ("detector",))
    if kind == "mediapipe" and values and values[0] not in MEDIAPIPE_MODELS:
        raise InvalidInput(f"detector {name[:80]!r}: {_expected(kind)}", ("detector",))
    if kind in ("rtmpose", "class") and not values:
        raise InvalidInput(f"detector {name!r} names no model: {_expected(kind)}", ("detector",))
    return _checked(name, kind, values, {match[1]: match[2] for match in options})


def _checked(name: str, kind: str, values: list[str], options: dict[str, str]) -> DetectorName:
    if kind in ("mediapipe", "class") and options:
        raise InvalidInput(f"detector {name[:80]!r}: {kind} takes no options", ("detector",))
    if options.get("joints"):
        skeleton_named(options["joints"])
    return DetectorName(kind, *values, **options)


def _expected(kind: str) -> str:
    known = ", ".join(POSE_MODELS)
    return {
        "mediapipe": f"expected mediapipe or mediapipe:{' or :'.join(MEDIAPIPE_MODELS)}",
        "rtmpose": f"expected rtmpose:MODEL, an ONNX file, a URL, or one of {known}",
        "mmpose": "expected mmpose, mmpose:CONFIG or mmpose:CONFIG,CHECKPOINT",
        "class": "expected class:PACKAGE.CLASS",
    }[kind]
