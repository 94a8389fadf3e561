"""Windows: an independent statement of what they are, and streamed equal to offline."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import InvalidInput, Window

SIDES = st.integers(0, 6)


def plainly(frames: np.ndarray, past: int, future: int) -> np.ndarray:
    """Every window by padding both ends: an oracle that shares no code with ours."""
    padded = np.pad(frames, [(past, future)] + [(0, 0)] * (frames.ndim - 1), mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, past + 1 + future, axis=0)
    return np.moveaxis(views, -1, 1)


@given(count=st.integers(1, 20), past=SIDES, future=SIDES)
def test_over_is_padding_and_sliding(count: int, past: int, future: int) -> None:
    frames = np.random.default_rng(count).normal(size=(count, 3))
    found = Window(past, future).over(frames)
    np.testing.assert_array_equal(found, plainly(frames, past, future))


@given(count=st.integers(1, 20), past=SIDES, future=SIDES, again=st.booleans(), cuts=st.data())
def test_streamed_is_offline(
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
        found = np.concatenate([pushed, stream.flush()])
        np.testing.assert_array_equal(found[future:], window.over(frames))
        early = Window(past + future, 0).over(frames)
        np.testing.assert_array_equal(found[:count], early)


def test_two_interleaved_streams_are_each_alone(rng: np.random.Generator) -> None:
    window = Window(3, 2)
    both = rng.normal(size=(2, 12, 4))
    streams = [window.stream(), window.stream()]
    found: list[list[np.ndarray]] = [[], []]
    for frame in range(12):
        for k in (0, 1):
            found[k].append(streams[k].push(both[k, frame : frame + 1]))
    for k in (0, 1):
        alone = np.concatenate([*found[k], streams[k].flush()])[2:]
        np.testing.assert_array_equal(alone, window.over(both[k]))


def test_windows_stay_as_they_are_while_the_stream_goes_on(rng: np.random.Generator) -> None:
    frames = rng.normal(size=(40, 3))
    stream = Window(3, 2).stream()
    found = [stream.push(frames[n : n + 1]) for n in range(40)]
    found.append(stream.flush())
    stream.push(rng.normal(size=(5, 3)))
    np.testing.assert_array_equal(np.concatenate(found)[2:], plainly(frames, 3, 2))


def test_a_stream_holds_the_memory_of_a_few_windows(rng: np.random.Generator) -> None:
    stream = Window(13, 13).stream()
    for _ in range(1000):
        window = stream.push(rng.normal(size=(1, 17)))
    assert window.base is not None
    assert len(window.base) <= 2 * 27


def test_a_stream_without_frames_has_nothing_to_flush() -> None:
    with pytest.raises(InvalidInput):
        Window(2, 2).stream().flush()


def test_only_the_centres_asked_for(rng: np.random.Generator) -> None:
    frames = rng.normal(size=(9, 2))
    window = Window(2, 2)
    centres = np.array([0, 4, 8])
    np.testing.assert_array_equal(window.over(frames, centres), window.over(frames)[centres])


def test_a_window_has_no_negative_side() -> None:
    with pytest.raises(InvalidInput):
        Window(-1, 0)
