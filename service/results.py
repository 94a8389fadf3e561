"""Results as files: JSON as on the wire, or what model.formats writes; complete or not there at
all."""

from pathlib import Path
from typing import Any

import numpy as np

from model import H36M17, InvalidInput, VideoResult, write_motion, written_whole
from service.schemas import LiftResult, dump, lift_document, video_document

SUFFIXES = (".json", ".npz")


def check_output(path: Path, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """Raises InvalidInput, before the work, for a file that could not be written after it."""
    if path.suffix.lower() not in suffixes:
        raise InvalidInput(f"{path}: the name ends in {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise InvalidInput(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder")


def write_lift(result: LiftResult, path: Path) -> None:
    if path.suffix.lower() == ".json":
        _write_json(lift_document(result), path)
        return
    with written_whole(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            frames=result.frames,
            keypoints=result.keypoints,
            poses=result.xyz,
            fps=result.fps,
            joints=np.array(H36M17.joints),
            model=np.array(result.model),
        )


def write_video(result: VideoResult, path: Path) -> None:
    if path.suffix.lower() == ".json":
        _write_json(video_document(result), path)
    else:
        write_motion(result, "npz", path)


def _write_json(document: dict[str, Any], path: Path) -> None:
    with written_whole(path) as part:
        part.write_bytes(dump(document))
