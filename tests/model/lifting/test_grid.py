"""Frames at uneven times: their rate, and the even grid on which they are lifted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import H36M17, KeypointSequence
from model.lifting.grid import EvenGrid, frame_rate


def sine(times_s: np.ndarray) -> KeypointSequence:
    """A figure whose joints swing at up to 1 Hz, at these times."""
    rng = np.random.default_rng(2)
    start, phase = rng.uniform(100, 900, (17, 2)), rng.uniform(0, 6, (17, 2))
    xy = start + 50 * np.sin(2 * np.pi * times_s[:, None, None] + phase)
    return KeypointSequence(xy, np.ones((len(times_s), 17)), (1000, 1000), 30.0, H36M17)


@pytest.mark.parametrize(
    ("times_s", "fps"),
    [
        (np.round(np.arange(90) / 30, 3), 30),  # milliseconds
        (np.r_[np.arange(45), np.arange(45) + 600] / 30, 30),  # a pause of 18.5 s
        (np.delete(np.arange(60), [7, 8, 30]) / 60, 60),  # lost frames
        (np.arange(5) * 60.0, 1 / 60),  # a frame a minute
        (np.arange(50) / 1000, 1000),
        (np.array([0.0]), 25),
        (np.array([0.0, 0.5]), 2),
    ],
)
def test_frame_rate_ignores_pauses_lost_frames_and_rounding(times_s, fps) -> None:
    assert frame_rate(times_s, 25) == pytest.approx(fps, rel=0.01)


@pytest.mark.parametrize("fps", [1 / 60, 24, 30, 59.94, 240, 1000])
def test_even_times_need_no_grid_even_if_rounded_to_milliseconds(fps: float) -> None:
    assert EvenGrid.of(np.round(np.arange(200) / fps, 3), 25) is None


def test_one_late_frame_leaves_the_other_frames_as_they_are() -> None:
    times_s = np.arange(40) / 30
    late = times_s.copy()
    late[20] += 0.02
    sequence = sine(times_s)
    grid = EvenGrid.of(late, 30)
    assert grid is not None and len(grid) == 40
    others = np.delete(np.arange(40), 20)
    rows = grid.keypoints(sequence).rows
    np.testing.assert_array_equal(rows[others], sequence.rows[others])
    back = grid.at_frames(rows)
    np.testing.assert_array_equal(back[others], sequence.rows[others])


@settings(max_examples=100)
@given(st.lists(st.floats(0.01, 0.1), min_size=1, max_size=80))
def test_any_rising_times_give_the_motion_at_these_times(steps_s: list[float]) -> None:
    times_s = np.cumsum([0.0, *steps_s])
    sequence = sine(times_s)
    grid = EvenGrid.of(times_s, 30)
    if grid is None:
        return
    sampled = grid.keypoints(sequence)
    assert sampled.fps == pytest.approx(frame_rate(times_s, 30))
    truth = sine(grid.start_s + np.arange(len(grid)) * grid.step_s)
    inside = slice(1, -1)  # beyond the first and the last frame nothing is known
    # a line between samples of 50 px at 1 Hz, at most 0.1 s apart, is off by (2 pi 0.1)^2 / 8 of it
    np.testing.assert_allclose(sampled.xy[inside], truth.xy[inside], atol=2.7)
    back = grid.at_frames(sampled.rows)
    np.testing.assert_allclose(back[1:-1, :, :2], sequence.xy[1:-1], atol=6)


def test_a_joint_hidden_on_one_side_is_hidden_between() -> None:
    times_s = np.array([0.0, 0.033, 0.067, 0.12, 0.133, 0.167])
    sequence = sine(times_s)
    confidence = sequence.confidence.copy()
    confidence[3, 5] = 0
    hidden = KeypointSequence(sequence.xy, confidence, (1000, 1000), 30.0, H36M17)
    grid = EvenGrid.of(times_s, 30)
    assert grid is not None
    seen = grid.keypoints(hidden).confidence[:, 5] > 0
    assert seen.tolist() == [True, True, True, False, True, True]


def test_a_grid_stays_small_where_frames_come_in_bursts() -> None:
    times_s = np.cumsum([0.0, *[0.001, 0.001, 0.49] * 300])
    grid = EvenGrid.of(times_s, 30)
    assert grid is not None and len(grid) <= 4 * len(times_s) + 1
