"""Results as files: JSON as on the wire, or npz for NumPy; complete or not there at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model import H36M17, InvalidInput, KeypointSequence, VideoResult
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


@contextmanager
def _written_whole(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; it becomes `path` when all went well, else it goes."""
    part = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_lift(result: LiftResult, path: Path) -> None:
    if path.suffix.lower() == ".json":
        _write_json(lift_document(result), path)
        return
    frames = np.arange(len(result.poses))
    _write_npz(
        path,
        frames=frames,
        keypoints=_rows(result.keypoints),
        poses=result.poses.xyz,
        fps=result.poses.fps,
        joints=np.array(result.poses.skeleton.joints),
        model=np.array(result.model),
    )


def write_video(result: VideoResult, path: Path) -> None:
    """As npz: one row for each person in each frame, ordered by person, then by frame."""
    if path.suffix.lower() == ".json":
        _write_json(video_document(result), path)
        return
    people = result.people
    _write_npz(
        path,
        person=np.repeat([p.id for p in people], [len(p.frames) for p in people]).astype(np.int64),
        frames=_joined([p.frames for p in people], (0,)).astype(np.int64),
        times_s=_joined([p.times_s for p in people], (0,)),
        keypoints=_joined([_rows(p.keypoints) for p in people], (0, 17, 3)),
        poses=_joined([p.poses.xyz for p in people], (0, 17, 3)),
        fps=result.video.fps,
        image_size=np.array([result.video.width, result.video.height]),
        joints=np.array(H36M17.joints),
        model=np.array(result.model),
        detector=np.array(result.detector),
    )


def _rows(sequence: KeypointSequence) -> NDArray[Any]:
    """(T, 17, 3): x, y, score; a joint not seen has score 0."""
    return np.concatenate([sequence.xy, sequence.confidence[..., None]], axis=-1)


def _joined(parts: list[Any], empty: tuple[int, ...]) -> NDArray[Any]:
    return np.concatenate([np.asarray(part) for part in parts]) if parts else np.zeros(empty)


def _write_json(document: dict[str, Any], path: Path) -> None:
    with _written_whole(path) as part:
        part.write_bytes(dump(document))


def _write_npz(path: Path, **arrays: Any) -> None:
    with _written_whole(path) as part:
        np.savez_compressed(part, **arrays)
