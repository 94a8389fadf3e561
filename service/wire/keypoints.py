"""Keypoints as JSON <-> arrays, exact and fast.

A request may hold a million numbers, so types and lengths are checked over flat lists, and limits
over one array. Only if that finds an error are the values checked one by one, to name the first
bad value.
"""

from collections.abc import Sequence, Sized
from itertools import chain
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from model import MAX_COORDINATE_PX, InvalidInput, Skeleton, TooLarge
from service.errors import place

FIELD = "keypoints"

Arrays = tuple[NDArray[np.float64], NDArray[np.float64]]


def read_keypoints(value: object, skeleton: Skeleton, max_frames: int) -> Arrays:
    """Keypoints of a request -> xy (T, J, 2) px and score (T, J): 0 for null, 1 without a score.

    `value` is a list of T frames of J rows [x, y], [x, y, score] or null, where a frame may be
    null; or an array (T, J, 2 or 3) with NaN for null. Raises InvalidInput with the path of the
    first bad value, TooLarge beyond `max_frames`."""
    if isinstance(value, np.ndarray):
        return _read_array(value, skeleton, max_frames)
    if not isinstance(value, list) or not value:
        _fault((), f"expected a list of one frame or more, got {_shown(value)}")
    _check_length(value, max_frames)
    joints = len(skeleton.joints)
    arrays = _arrays(value, joints)
    if arrays is None:
        _find_fault(value, skeleton)
        raise AssertionError("the fast and the slow check disagree")
    xy, score = arrays
    return xy.reshape(-1, joints, 2), score.reshape(-1, joints)


def _check_length(frames: Sized, max_frames: int) -> None:
    if len(frames) > max_frames:
        raise TooLarge(f"at most {max_frames} frames a request, got {len(frames)}", (FIELD,))


def _read_array(rows: NDArray[Any], skeleton: Skeleton, max_frames: int) -> Arrays:
    joints = len(skeleton.joints)
    if rows.dtype.kind not in "fiu":
        _fault((), f"expected an array of numbers, got {rows.dtype}")
    if rows.ndim != 3 or rows.shape[1] != joints or rows.shape[2] not in (2, 3) or not len(rows):
        _fault((), f"{skeleton.name} is (frames, {joints}, 2 or 3), got {rows.shape}")
    _check_length(rows, max_frames)
    rows = rows.astype(np.float64)
    seen = ~np.isnan(rows).any(axis=-1)
    rows[~seen] = 0
    good = np.abs(rows) <= MAX_COORDINATE_PX
    good[..., 2:] = (rows[..., 2:] >= 0) & (rows[..., 2:] <= 1)
    if not good.all():
        t, j = (int(i) for i in np.argwhere(~good)[0, :2])
        _find_row_fault(rows[t, j].tolist(), (t, j))
    score = rows[..., 2] if rows.shape[2] == 3 else seen.astype(np.float64)
    return rows[..., :2], score


def _arrays(frames: list[Any], joints: int) -> Arrays | None:
    """xy (T * J, 2) and score (T * J), or None if any value is bad."""
    empty = [None] * joints
    frames = [empty if frame is None else frame for frame in frames]
    if set(map(type, frames)) != {list} or set(map(len, frames)) != {joints}:
        return None
    rows = list(chain.from_iterable(frames))
    present = [row for row in rows if row is not None]
    if not present:
        return np.zeros((len(rows), 2)), np.zeros(len(rows))
    if set(map(type, present)) != {list} or not (widths := set(map(len, present))) <= {2, 3}:
        return None
    numbers = list(chain.from_iterable(present))
    # type, not isinstance: True is an int
    if not set(map(type, numbers)) <= {int, float}:
        return None
    values = np.array(numbers, np.float64)
    xy, score = _even(values, *widths) if len(widths) == 1 else _uneven(values, present)
    if np.abs(xy).max() > MAX_COORDINATE_PX or score.min() < 0 or score.max() > 1:
        return None
    if len(present) == len(rows):
        return xy, score
    return _spread(xy, score, np.array([row is not None for row in rows]))


def _even(numbers: NDArray[np.float64], width: int) -> Arrays:
    """N rows of `width` numbers, flattened -> xy (N, 2) and score (N)."""
    rows = numbers.reshape(-1, width)
    return rows[:, :2], rows[:, 2] if width == 3 else np.ones(len(rows))


def _uneven(numbers: NDArray[np.float64], rows: Sequence[Sized]) -> Arrays:
    """The same for a mix of rows of 2 and of 3 numbers."""
    lengths = np.fromiter(map(len, rows), np.intp, len(rows))
    start = np.cumsum(lengths) - lengths
    xy = numbers[start[:, None] + np.arange(2)]
    score = np.ones(len(lengths))
    scored = lengths == 3
    score[scored] = numbers[start[scored] + 2]
    return xy, score


def _spread(xy: NDArray[np.float64], score: NDArray[np.float64], seen: NDArray[np.bool_]) -> Arrays:
    """Rows of the seen joints -> rows of all joints, zero for the others."""
    all_xy, all_score = np.zeros((len(seen), 2)), np.zeros(len(seen))
    all_xy[seen], all_score[seen] = xy, score
    return all_xy, all_score


def _find_fault(frames: list[Any], skeleton: Skeleton) -> None:
    for t, frame in enumerate(frames):
        if frame is None:
            continue
        if not isinstance(frame, list):
            _fault((t,), f"a frame must be a list of joints or null, got {_shown(frame)}")
        if len(frame) != len(skeleton.joints):
            _fault(
                (t,),
                f"a frame of {skeleton.name} has {len(skeleton.joints)} joints, got {len(frame)}",
            )
        for j, row in enumerate(frame):
            if row is not None:
                _find_row_fault(row, (t, j))


def _find_row_fault(row: Any, where: tuple[int, int]) -> None:
    if not isinstance(row, list) or len(row) not in (2, 3):
        _fault(where, f"a joint must be [x, y], [x, y, score] or null, got {_shown(row)}")
    for axis, number in enumerate(row):
        if type(number) not in (int, float):
            _fault((*where, axis), f"expected a number, got {_shown(number)}")
        if axis < 2 and not abs(number) <= MAX_COORDINATE_PX:
            _fault((*where, axis), f"a coordinate must be between -1e6 and 1e6 px, got {number}")
        if axis == 2 and not 0 <= number <= 1:
            _fault((*where, axis), f"a score must be between 0 and 1, got {number}")


def _fault(where: tuple[int, ...], message: str) -> NoReturn:
    path: tuple[str | int, ...] = (FIELD, *where)
    raise InvalidInput(f"{place(path)}: {message}", path)


def _shown(value: object) -> str:
    """A short description of a JSON value."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, str):
        return f"the string {value[:20]!r}"
    names = {None: "null", True: "true", False: "false"}
    return names[value] if value is None or isinstance(value, bool) else str(value)


def write_keypoints(rows: NDArray[np.float32]) -> Any:
    """(T, J, 3) x, y, score -> T frames of J rows for orjson, null for a joint not seen."""
    seen = rows[..., 2] > 0
    if seen.all():
        return np.ascontiguousarray(rows)
    return [
        frame if whole else [row if ok else None for row, ok in zip(frame, joints, strict=True)]
        for frame, joints, whole in zip(rows, seen.tolist(), seen.all(axis=1), strict=True)
    ]
