"""Windows equal padding and sliding by NumPy; streamed windows equal offline ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import InvalidInput, Window

SIDES = st.integers(0, 6)


def padded_and_slid(frames: np.ndarray, past: int, future: int) -> np.ndarray:
    """Every window by padding both ends, as an independent oracle."""
    padded = np.pad(frames, [(past, future)] + [(0, 0)] * (frames.ndim - 1), mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, past + 1 + future, axis=0)
    return np.moveaxis(views, -1, 1)


@given(count=st.integers(1, 20), past=SIDES, future=SIDES)
def test_over_equals_padding_and_sliding(count: int, past: int, future: int) -> None:
    frames = np.random.default_rng(count).normal(size=(count, 3))
    windows = Window(past, future).over(frames)
    np.testing.assert_array_equal(windows, padded_and_slid(frames, past, future))


@given(count=st.integers(1, 20), past=SIDES, future=SIDES, again=st.booleans(), cuts=st.data())
def test_streamed_windows_equal_over(
    count: int, past: int, future: int, again: bool, cuts: st.DataObject
) -> None:
    window = Window(past, future)
    stream = window.stream()
    for run in range(1 + again):
        frames = np.random.default_rng(run).normal(size=(count, 2))
        at = cuts.draw(st.lists(st.integers(0, count), max_size=5).map(sorted))
        chunks = [chunk for chunk in np.split(frames, at) if len(chunk)]
        pushed = np.concatenate([stream.push(chunk) for chunk in chunks])
        assert len(pushed) == count
        windows = np.concatenate([pushed, stream.flush()])
        np.testing.assert_array_equal(windows[future:], window.over(frames))
        ending = Window(past + future, 0).over(frames)
        np.testing.assert_array_equal(windows[:count], ending)


def test_interleaved_streams_equal_separate_ones(rng: np.random.Generator) -> None:
    window = Window(3, 2)
    both = rng.normal(size=(2, 12, 4))
    streams = [window.stream(), window.stream()]
    windows: list[list[np.ndarray]] = [[], []]
    for frame in range(12):
        for k in (0, 1):
            windows[k].append(streams[k].push(both[k, frame : frame + 1]))
    for k in (0, 1):
        alone = np.concatenate([*windows[k], streams[k].flush()])[2:]
        np.testing.assert_array_equal(alone, window.over(both[k]))


def test_returned_windows_do_not_change_with_later_pushes(rng: np.random.Generator) -> None:
    frames = rng.normal(size=(40, 3))
    stream = Window(3, 2).stream()
    windows = [stream.push(frames[n : n + 1]) for n in range(40)]
    windows.append(stream.flush())
    stream.push(rng.normal(size=(5, 3)))
    np.testing.assert_array_equal(np.concatenate(windows)[2:], padded_and_slid(frames, 3, 2))


def test_stream_memory_is_bounded_by_two_windows(rng: np.random.Generator) -> None:
    stream = Window(13, 13).stream()
    for _ in range(1000):
        window = stream.push(rng.normal(size=(1, 17)))
    assert window.base is not None
    assert len(window.base) <= 2 * 27


def test_flush_without_frames_is_an_error() -> None:
    with pytest.raises(InvalidInput):
        Window(2, 2).stream().flush()


def test_over_returns_only_the_given_centres(rng: np.random.Generator) -> None:
    frames = rng.normal(size=(9, 2))
    window = Window(2, 2)
    centres = np.array([0, 4, 8])
    np.testing.assert_array_equal(window.over(frames, centres), window.over(frames)[centres])


def test_negative_window_side_is_rejected() -> None:
    with pytest.raises(InvalidInput):
        Window(-1, 0)
