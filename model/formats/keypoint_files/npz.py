"""Keypoints as arrays: `keypoints` (T, J, 2 or 3), and optionally fps, image size and joint set."""

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


def read_keypoints_npz(path: Path, options: Given, max_frames: int) -> FiledKeypoints:
    """`keypoints` (T, J, 2 or 3) holds x, y px and optionally the score; NaN is an unseen joint.
    `skeleton` (its name), `image_size` (width, height) px and `fps` come from the file or from
    options; if both, they must agree. Raises InvalidInput, TooLarge, OSError."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return FiledKeypoints(_sequence(dict(arrays), options, max_frames))
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInput(f"{path} is not an npz file with keypoints: {error}") from error


def _sequence(arrays: dict[str, NDArray[Any]], options: Given, max_frames: int) -> KeypointSequence:
    rows = arrays.get("keypoints")
    if rows is None:
        raise InvalidInput(f"expected an array `keypoints`, got {', '.join(sorted(arrays))}")
    if rows.ndim != 3 or rows.shape[2] not in (2, 3) or rows.dtype.kind not in "fiu":
        raise InvalidInput(
            f"expected numbers (T, J, 2 or 3), got {rows.dtype} {rows.shape}", ("keypoints",)
        )
    if "person" in arrays:
        raise InvalidInput("the npz is the result of a video; save the `keypoints` of one person")
    if len(rows) > max_frames:
        raise TooLarge(f"at most {max_frames} frames, got {len(rows)}", ("keypoints",))
    known = _completed(options, arrays)
    xy, seen = rows[..., :2].astype(np.float32), ~np.isnan(rows).any(axis=-1)
    score = rows[..., 2].astype(np.float32) if rows.shape[2] == 3 else np.ones(seen.shape, "f4")
    return KeypointSequence(
        np.where(seen[..., None], xy, 0),
        np.where(seen, score, 0),
        known.needed_size(),
        known.needed_fps(),
        known.needed_skeleton(),
    )


def _completed(options: Given, arrays: dict[str, NDArray[Any]]) -> Given:
    """The options, completed from the file."""
    stated: dict[str, Any] = {}
    if "fps" in arrays:
        stated["fps"] = float(arrays["fps"])
    if "skeleton" in arrays:
        stated["skeleton"] = str(arrays["skeleton"])
    if "image_size" in arrays:
        stated["image_size"] = tuple(arrays["image_size"].tolist())
    for name, value in stated.items():
        option = getattr(options, name)
        if option is not None and option != value:
            raise InvalidInput(f"{name} is {value} in the file, but {option} as option", (name,))
    return replace(options, **stated)
