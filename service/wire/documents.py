"""JSON documents: parse objects; write and read the result of a video."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import orjson

from model import (
    H36M17,
    InvalidInput,
    KeypointSequence,
    PersonMotion,
    PoseSequence,
    Room,
    VideoInfo,
    VideoResult,
)
from service.errors import NotJson
from service.wire.keypoints import read_keypoints, write_keypoints


def parse_object(text: bytes | str, name: str) -> dict[str, Any]:
    """Parse a JSON object; raises NotJson and InvalidInput."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        # 1e999 is valid JSON, but not a float64
        if "infinity" in error.msg:
            raise InvalidInput(f"a number is out of range ({error})") from error
        raise NotJson(f"{name} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidInput(f"{name} must be a JSON object")
    return document


def video_document(result: VideoResult) -> dict[str, Any]:
    """The result of a video as JSON; `dump` writes its arrays."""
    detector, detector_version = result.detector
    model, model_version = result.model
    return {
        "video": asdict(result.video),
        "detector": {"name": detector, "version": detector_version},
        "model": {"name": model, "version": model_version},
        "applied": dict(result.applied),
        "warnings": list(result.warnings),
        "room": room_document(result.room),
        "people": [_person_document(person) for person in result.people],
    }


def room_document(room: Room | None) -> dict[str, Any] | None:
    if room is None:
        return None
    return {
        "rotation": room.rotation.tolist(),
        "camera_height_m": room.camera_height_m,
        "assumes": room.assumes,
    }


def _person_document(person: PersonMotion) -> dict[str, Any]:
    return {
        "id": person.id,
        "frames": person.frames,
        "times_s": person.times_s,
        "bridged": person.bridged,
        "keypoints": write_keypoints(person.keypoints.rows),
        "poses": np.ascontiguousarray(person.poses.xyz),
        "confidence": person.confidence,
        "root": np.ascontiguousarray(person.known_root),
    }


def read_video_document(text: bytes, name: str) -> VideoResult:
    """The inverse of `dump(video_document(..))`; raises NotJson and InvalidInput."""
    document = parse_object(text, name)
    try:
        video = VideoInfo(**document["video"])
        return VideoResult(
            video=video,
            detector=(document["detector"]["name"], document["detector"]["version"]),
            model=(document["model"]["name"], document["model"]["version"]),
            people=tuple(
                _read_person(person, video, document["applied"]["space"])
                for person in document["people"]
            ),
            warnings=tuple(document["warnings"]),
            applied=document["applied"],
            room=_read_room(document["room"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{name} is no result of a video: {error!r}") from error


def _read_room(document: Mapping[str, Any] | None) -> Room | None:
    if document is None:
        return None
    rotation = np.array(document["rotation"], np.float64)
    return Room(rotation, document["camera_height_m"], document["assumes"])


def _read_person(document: Mapping[str, Any], video: VideoInfo, space: str) -> PersonMotion:
    frames, times_s = np.array(document["frames"], np.int64), np.array(document["times_s"])
    xy, score = read_keypoints(document["keypoints"], H36M17, len(frames))
    poses = PoseSequence(np.array(document["poses"], np.float32), video.fps, space=space)
    root = np.array(document["root"], np.float32)
    if not len(frames) == len(times_s) == len(xy) == len(poses) == len(root):
        raise ValueError(f"person {document['id']}: frames, times, .. differ in length")
    size = (video.width, video.height)
    keypoints = KeypointSequence(
        xy.astype(np.float32), score.astype(np.float32), size, video.fps, H36M17
    )
    values = document.get("confidence")
    confidence = None if values is None else np.array(values, np.float32)
    if confidence is not None and confidence.shape != (len(frames), len(H36M17.joints)):
        raise ValueError(f"person {document['id']}: confidence is {confidence.shape}")
    return PersonMotion(
        int(document["id"]),
        frames,
        times_s,
        keypoints,
        poses,
        root,
        bridged=np.array(document.get("bridged", []), np.int64),
        confidence=confidence,
    )


def dump(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
