"""The reader of keypoints against a slow reference that checks every value."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import H36M17, InvalidInput, KeypointSequence, Skeleton, TooLarge
from service.wire.keypoints import read_keypoints, write_keypoints

THREE = Skeleton("three", ("a", "b", "c"), (-1, 0, 1), {})
"""A small joint set, so that a frame has few values."""

Read = list[list[tuple[float, float, float]]]


def slow_read(value: Any) -> Read | tuple[str | int, ...]:
    """Rows of x, y, score, or the path of the first bad value, straight from the contract."""
    if type(value) is not list or not value:
        return ("keypoints",)
    frames: Read = []
    for t, frame in enumerate(value):
        frames.append([])
        if frame is None:
            frames[-1] = [(0.0, 0.0, 0.0)] * 3
            continue
        if type(frame) is not list or len(frame) != 3:
            return ("keypoints", t)
        for j, row in enumerate(frame):
            if row is None:
                frames[-1].append((0.0, 0.0, 0.0))
                continue
            if type(row) is not list or len(row) not in (2, 3):
                return ("keypoints", t, j)
            for axis, number in enumerate(row):
                low, high = ((-1e6, 1e6), (-1e6, 1e6), (0, 1))[axis]
                if type(number) not in (int, float) or not low <= number <= high:
                    return ("keypoints", t, j, axis)
            frames[-1].append((row[0], row[1], row[2] if len(row) == 3 else 1.0))
    return frames


def fast_read(value: Any) -> Read | tuple[str | int, ...]:
    try:
        xy, score = read_keypoints(value, THREE, 100)
    except InvalidInput as error:
        return error.where
    rows = np.concatenate([xy, score[..., None]], axis=-1)
    return [[(x, y, s) for x, y, s in frame] for frame in rows.tolist()]


coordinates = st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6))
scores = st.one_of(st.sampled_from([0, 1]), st.floats(0, 1))
rows = st.one_of(
    st.none(),
    st.tuples(coordinates, coordinates).map(list),
    st.tuples(coordinates, coordinates, scores).map(list),
)
frames = st.one_of(st.none(), st.lists(rows, min_size=3, max_size=3))
oddities = st.one_of(
    st.sampled_from([None, True, False, "1", "", [], {}, [[]], -0.0, 2**63, 2**64 - 1, -(2**63)]),
    st.sampled_from([1e300, -1e300, 1e6 + 1e-3, 1.0000001, -1e-9, 5e-324, [1], [1, 2, 3, 4]]),
    st.lists(rows, max_size=4),
)


def put(value: Any, where: list[int], odd: Any) -> Any:
    """`value` with the item at the path `where` replaced by `odd`."""
    if not where or type(value) is not list or not value:
        return odd
    index = where[0] % len(value)
    return [*value[:index], put(value[index], where[1:], odd), *value[index + 1 :]]


@settings(max_examples=150)
@given(st.lists(frames, min_size=1, max_size=4))
def test_valid_keypoints_are_read_exactly(value: Any) -> None:
    value = orjson.loads(orjson.dumps(value))
    assert fast_read(value) == slow_read(value)


@settings(max_examples=300)
@given(
    st.lists(frames, min_size=1, max_size=4),
    st.lists(st.tuples(st.lists(st.integers(0, 3), max_size=3), oddities), max_size=3),
)
def test_first_bad_value_is_named_by_its_path(
    value: Any, changes: list[tuple[list[int], Any]]
) -> None:
    for where, odd in changes:
        value = put(value, where, odd)
    value = orjson.loads(orjson.dumps(value))
    assert fast_read(value) == slow_read(value)


def test_too_many_frames_are_rejected() -> None:
    with pytest.raises(TooLarge, match="at most 100 frames a request, got 101"):
        read_keypoints([None] * 101, THREE, 100)


def test_written_keypoints_read_back(rng: np.random.Generator) -> None:
    score = rng.uniform(0, 1, (6, 17)).astype(np.float32)
    score[2], score[4, 3], score[4, 9] = 0, 0, 0
    xy = rng.uniform(-50, 2000, (6, 17, 2)).astype(np.float32)
    sequence = KeypointSequence(xy, score, (1920, 1080), 50.0, H36M17)
    document = orjson.dumps(write_keypoints(sequence.rows), option=orjson.OPT_SERIALIZE_NUMPY)
    written = orjson.loads(document)
    assert written[2] == [None] * 17
    assert [j for j, row in enumerate(written[4]) if row is None] == [3, 9]
    read_xy, read_score = read_keypoints(written, H36M17, 100)
    np.testing.assert_array_equal(read_xy.astype(np.float32), sequence.xy)
    np.testing.assert_array_equal(read_score.astype(np.float32), sequence.confidence)
