"""The input of `poselift lift`: a POST /lift body, or keypoints in the files of other tools."""

from dataclasses import fields
from pathlib import Path

import orjson

from model import (
    FiledKeypoints,
    Given,
    InvalidInput,
    read_coco,
    read_keypoints_npz,
    read_openpose,
)
from service.wire.lift import LiftRequest, read_lift


def read_request(path: Path, given: Given, max_frames: int) -> tuple[LiftRequest, tuple[str, ...]]:
    """Read an OpenPose folder, an npz, a list of COCO results or a POST /lift body, detected by its
    content; also returns warnings about guessed values. Raises InvalidInput, OSError."""
    keypoints = _keypoints(path, given, max_frames)
    if keypoints:
        return LiftRequest(keypoints.sequence), keypoints.warnings
    for field in fields(given):
        if getattr(given, field.name) is not None:
            raise InvalidInput(f"{field.name}: {path} is a body of POST /lift, which contains it")
    return read_lift(path.read_bytes(), max_frames), ()


def _keypoints(path: Path, given: Given, max_frames: int) -> FiledKeypoints | None:
    """None for a POST /lift body."""
    if path.is_dir():
        return read_openpose(path, given, max_frames)
    if path.suffix.lower() == ".npz":
        return read_keypoints_npz(path, given, max_frames)
    content = path.read_bytes()
    if not content.lstrip().startswith(b"["):
        return None
    try:
        return read_coco(orjson.loads(content), given, max_frames)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{path} is not JSON: {error}") from error
