"""A complete result as NumPy arrays, and back without loss."""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.keypoints.sequences import KeypointSequence, PoseSequence
from model.keypoints.skeleton import H36M17
from model.motion.world import Room
from model.video.metadata import VideoInfo
from model.video.results import PersonMotion, VideoResult

JOINTS = len(H36M17.joints)
_NO_FRAMES = np.zeros(0, np.int64)


def write_npz(result: VideoResult, path: Path) -> None:
    """One row for each person and frame, ordered by person, then frame: `person`, `frames`,
    `times_s`, `bridged`, `keypoints` (n, 17, 3) px and score, `poses` (n, 17, 3) m in `space`,
    `root` (n, 3) m in camera axes, `confidence` (n, 17) if the model has it; beside them the
    properties of the video, the world space and the lifting."""
    with path.open("wb") as file:
        np.savez_compressed(file, **_arrays(result))


def _arrays(result: VideoResult) -> dict[str, Any]:
    people = result.people
    confidences = [p.confidence for p in people if p.confidence is not None]
    return {
        **({"confidence": np.concatenate(confidences).astype("f4")} if confidences else {}),
        "person": np.repeat([p.id for p in people], [len(p.frames) for p in people]).astype(int),
        "frames": _joined([p.frames for p in people], (0,)).astype(np.int64),
        "times_s": _joined([p.times_s for p in people], (0,)),
        "bridged": _joined([np.isin(p.frames, p.bridged) for p in people], (0,)).astype(bool),
        "keypoints": _joined([p.keypoints.rows for p in people], (0, JOINTS, 3)).astype("f4"),
        "poses": _joined([p.poses.xyz for p in people], (0, JOINTS, 3)).astype("f4"),
        "root": _joined([p.known_root for p in people], (0, 3)).astype("f4"),
        "space": people[0].poses.space if people else "root",
        **_room_arrays(result.room),
        "fps": result.video.fps,
        "image_size": np.array([result.video.width, result.video.height]),
        "video_frames": result.video.frames,
        "duration_s": result.video.duration_s,
        "joints": np.array(H36M17.joints),
        "model": np.array(result.model),
        "detector": np.array(result.detector),
        "applied": json.dumps(dict(result.applied)),
        "warnings": np.array(result.warnings, np.str_),
    }


def _room_arrays(room: Room | None) -> dict[str, Any]:
    if room is None:
        return {}
    return {
        "room_rotation": room.rotation,
        "camera_height_m": room.camera_height_m,
        "room_assumes": room.assumes,
    }


def read_npz(path: Path) -> VideoResult:
    """A result written by write_npz. Raises InvalidInput for any other file, and OSError."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return _result(dict(arrays))
    except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInput(f"{path} is no result of a video as npz: {error}") from error


def _result(arrays: dict[str, NDArray[Any]]) -> VideoResult:
    width, height = (int(side) for side in arrays["image_size"])
    video = VideoInfo(
        width,
        height,
        float(arrays["fps"]),
        int(arrays["video_frames"]),
        float(arrays["duration_s"]),
    )
    detector, detector_version = map(str, arrays["detector"])
    model, model_version = map(str, arrays["model"])
    return VideoResult(
        video=video,
        detector=(detector, detector_version),
        model=(model, model_version),
        people=tuple(_person(id, arrays, video) for id in np.unique(arrays["person"])),
        warnings=tuple(map(str, arrays["warnings"])),
        applied=json.loads(str(arrays["applied"])),
        room=_room(arrays),
    )


def _room(arrays: dict[str, NDArray[Any]]) -> Room | None:
    if "room_rotation" not in arrays:
        return None
    height_m, assumes = float(arrays["camera_height_m"]), str(arrays["room_assumes"])
    return Room(arrays["room_rotation"], height_m, assumes)


def _person(id: np.int64, arrays: dict[str, NDArray[Any]], video: VideoInfo) -> PersonMotion:
    rows = arrays["person"] == id
    keypoints = arrays["keypoints"][rows]
    size = (video.width, video.height)
    return PersonMotion(
        int(id),
        arrays["frames"][rows],
        arrays["times_s"][rows],
        KeypointSequence(keypoints[..., :2], keypoints[..., 2], size, video.fps, H36M17),
        PoseSequence(arrays["poses"][rows], video.fps, space=str(arrays["space"])),
        arrays["root"][rows],
        bridged=arrays["frames"][rows & arrays["bridged"]] if "bridged" in arrays else _NO_FRAMES,
        confidence=arrays["confidence"][rows] if "confidence" in arrays else None,
    )


def _joined(parts: list[Any], empty: tuple[int, ...]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(empty)
