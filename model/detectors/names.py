"""A detector's name, as a setting or the command line gives it, taken apart.

    mediapipe[:heavy]             the larger of its two landmark models
    rtmpose:MODEL                 a known model's short name, an ONNX file, or a URL
    mmpose[:CONFIG[,CHECKPOINT]]  one of MMPose's own, or a config and checkpoint
    class:PACKAGE.CLASS           a class of the user's, see Detector

`,boxes=...` at the end says who finds the people for a top-down model, `,joints=...` which joint
set a model answers in, where its file leaves that open.
"""

import re
from dataclasses import dataclass

from model.detectors.published import POSE_MODELS
from model.errors import InvalidInput, UnknownName
from model.keypoints.joint_sets import skeleton_named

MEDIAPIPE_MODELS = ("heavy",)
"""Beside the one inside its wheel."""

DETECTORS = (
    "mediapipe",
    *(f"mediapipe:{model}" for model in MEDIAPIPE_MODELS),
    "mmpose",
    *(f"rtmpose:{name}" for name in POSE_MODELS),
)
"""The known names. They make no file or address of the asker's be opened, so that a stranger's
request may hold them."""

_KIND_AND_REST = re.compile(r"([^:,]*)[:,]?(.*)", re.DOTALL)
_OPTION = re.compile(r"(boxes|joints)=(.*)", re.DOTALL)
_TAKES = {"mediapipe": 1, "rtmpose": 1, "mmpose": 2, "class": 1}
"""How many parts may follow the kind."""


@dataclass(frozen=True)
class DetectorName:
    """The parts of a name; empty where nothing was said."""

    kind: str
    model: str = ""
    checkpoint: str = ""
    boxes: str = ""
    joints: str = ""


def read_name(name: str) -> DetectorName:
    """Raises UnknownName or InvalidInput for a name that says nothing which could be opened; that
    its files exist is seen when it is opened."""
    kind, rest = _KIND_AND_REST.findall(name)[0]
    if kind not in _TAKES:
        raise UnknownName("detector", name, (*DETECTORS, "rtmpose:FILE", "mmpose:CONFIG"))
    parts = rest.split(",") if rest else []
    options = [match for part in parts if (match := _OPTION.fullmatch(part))]
    given = [part for part in parts if not _OPTION.fullmatch(part)]
    if len(given) > _TAKES[kind] or not all(given):
        raise InvalidInput(f"detector {name[:80]!r}: {_expected(kind)}", ("detector",))
    if kind == "mediapipe" and given and given[0] not in MEDIAPIPE_MODELS:
        raise InvalidInput(f"detector {name[:80]!r}: {_expected(kind)}", ("detector",))
    if kind in ("rtmpose", "class") and not given:
        raise InvalidInput(f"detector {name!r} names no model: {_expected(kind)}", ("detector",))
    return _checked(name, kind, given, {match[1]: match[2] for match in options})


def _checked(name: str, kind: str, given: list[str], options: dict[str, str]) -> DetectorName:
    if kind in ("mediapipe", "class") and options:
        raise InvalidInput(f"detector {name[:80]!r}: {kind} takes no options", ("detector",))
    if options.get("joints"):
        skeleton_named(options["joints"])
    return DetectorName(kind, *given, **options)


def _expected(kind: str) -> str:
    known = ", ".join(POSE_MODELS)
    return {
        "mediapipe": f"expected mediapipe or mediapipe:{' or :'.join(MEDIAPIPE_MODELS)}",
        "rtmpose": f"expected rtmpose:MODEL, an ONNX file, a URL, or one of {known}",
        "mmpose": "expected mmpose, mmpose:CONFIG or mmpose:CONFIG,CHECKPOINT",
        "class": "expected class:PACKAGE.CLASS",
    }[kind]
