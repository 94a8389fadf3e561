"""Frame times from timestamps of every kind that files have."""

from array import array
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.video.clock import Clock, Stamps


def times_of(stamps: list[float | None], fps: float = 25) -> tuple[list[float], list[str]]:
    """Times of frames with these stamps, s, and the warnings."""
    warnings: list[str] = []
    known = sorted({stamp for stamp in stamps if stamp is not None})
    usable = len(known) > 1 and 2 * len(known) >= len(stamps)
    clock = Clock(Stamps(len(stamps), array("d", known), fps, usable), True, warnings)
    return [clock.time_s(SimpleNamespace(time=stamp)) for stamp in stamps], warnings


STEP = 0.04


@pytest.mark.parametrize(
    ("stamps", "times_s"),
    [
        ([7.0, 7.04, 7.08], [0, 0.04, 0.08]),
        ([None, None, 7.0, 7.04, None, 7.2], [0, 0.04, 0.08, 0.12, 0.16, 0.28]),
        ([0.0] * 5, [0, 0.04, 0.08, 0.12, 0.16]),
        ([None] * 3, [0, 0.04, 0.08]),
        ([0.16, 0.12, 0.08, 0.04, 0.0], [0, 0.04, 0.08, 0.12, 0.16]),
        ([0, 0.04, 0.08, 3600.0, 3600.04], [0, 0.04, 0.08, 3600.0, 3600.04]),
        ([0, 0.04, 0.08, -3600.0, -3599.96], [0, 0.04, 0.08, 0.12, 0.16]),
        ([0, 0.04, 0.04, 0.08, 0.12], [0, 0.04, 0.06, 0.08, 0.12]),
        ([0, 0.04, 0.04, 0.04, 0.08], [0, 0.04, 0.06, 0.07, 0.08]),
        ([0, 0.04, 0.07, 0.12, 0.16], [0, 0.04, 0.07, 0.12, 0.16]),
    ],
    ids=[
        *("origin", "missing", "all zero", "none", "backwards", "jump", "set back"),
        *("repeated", "repeated twice", "jitter"),
    ],
)
def test_times_follow_the_stamps_as_far_as_these_can_be_used(stamps, times_s) -> None:
    times, warnings = times_of(stamps)
    np.testing.assert_allclose(times, times_s, atol=1e-9)
    rising = all(stamp is not None for stamp in stamps) and (np.diff(stamps) > 0).all()
    assert bool(warnings) != rising


@given(st.lists(st.none() | st.floats(-1e4, 1e4), min_size=1, max_size=40))
def test_times_always_increase_from_zero(stamps) -> None:
    times, _ = times_of(stamps)
    assert times[0] == 0
    assert (np.diff(times) > 0).all()


def test_frames_out_of_display_order_get_the_stamps_in_order() -> None:
    stamps = Stamps(4, array("d", [0, 0.04, 0.08, 0.12]), 25, True)
    clock = Clock(stamps, False, warnings := [])
    found = [clock.time_s(SimpleNamespace(time=time)) for time in (0.08, 0.16, 0.12, 0.2)]
    np.testing.assert_allclose(found, [0, 0.04, 0.08, 0.12])
    assert warnings == []


def test_a_stamp_that_repeats_often_still_gives_rising_times() -> None:
    times, _ = times_of([*(n * STEP for n in range(61)), *[60 * STEP] * 60])
    assert np.diff(times).min() > STEP / 100
