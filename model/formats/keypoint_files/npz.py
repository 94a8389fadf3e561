"""Keypoints as arrays: `keypoints` (T, J, 2 or 3), and what else a sequence is made of."""

import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput, TooLarge
from model.formats.keypoint_files.people import FiledKeypoints, Given
from model.keypoints.sequences import KeypointSequence


def read_keypoints_npz(path: Path, given: Given, max_frames: int) -> FiledKeypoints:
    """`keypoints` (T, J, 2 or 3) holds x, y px and, if there, the score; nan is a joint not seen.
    `skeleton` (its name), `image_size` (width, height) px and `fps` may stand in the file or be
    given, not both unless they agree. Raises InvalidInput, TooLarge, OSError."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return FiledKeypoints(_sequence(dict(arrays), given, max_frames))
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInput(f"{path} is no npz of keypoints: {error}") from error


def _sequence(arrays: dict[str, NDArray[Any]], given: Given, max_frames: int) -> KeypointSequence:
    rows = arrays.get("keypoints")
    if rows is None:
        raise InvalidInput(f"expected an array `keypoints`, got {', '.join(sorted(arrays))}")
    if rows.ndim != 3 or rows.shape[2] not in (2, 3) or rows.dtype.kind not in "fiu":
        raise InvalidInput(
            f"keypoints are numbers (T, J, 2 or 3), got {rows.dtype} {rows.shape}", ("keypoints",)
        )
    if "person" in arrays:
        raise InvalidInput("this npz holds people's results: give one person's `keypoints` alone")
    if len(rows) > max_frames:
        raise TooLarge(f"at most {max_frames} frames, got {len(rows)}", ("keypoints",))
    known = _known(arrays, given)
    xy, seen = rows[..., :2].astype(np.float32), ~np.isnan(rows).any(axis=-1)
    score = rows[..., 2].astype(np.float32) if rows.shape[2] == 3 else np.ones(seen.shape, "f4")
    return KeypointSequence(
        np.where(seen[..., None], xy, 0),
        np.where(seen, score, 0),
        known.needed_size(),
        known.needed_fps(),
        known.needed_skeleton(),
    )


def _known(arrays: dict[str, NDArray[Any]], given: Given) -> Given:
    """What is given, completed by what the file says."""
    said: dict[str, Any] = {}
    if "fps" in arrays:
        said["fps"] = float(arrays["fps"])
    if "skeleton" in arrays:
        said["skeleton"] = str(arrays["skeleton"])
    if "image_size" in arrays:
        said["image_size"] = tuple(arrays["image_size"].tolist())
    for name, value in said.items():
        other = getattr(given, name)
        if other is not None and other != value:
            raise InvalidInput(f"{name}: the file says {value}, {other} is given", (name,))
    return replace(given, **said)
