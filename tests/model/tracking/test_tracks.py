"""Tracks: detections in order, runs between gaps, and interpolation between detected frames."""

import numpy as np
import pytest

from model import BLAZEPOSE33, H36M17, to_h36m17
from model.detectors.person import Person
from model.tracking.tracks import Track, fill, split_at_gaps


def people(count: int, rng: np.random.Generator) -> list[Person]:
    points = rng.uniform(0, 500, (count, 33, 2)).astype(np.float32)
    scores = rng.uniform(0.1, 1, (count, 33)).astype(np.float32)
    return [Person(xy, score) for xy, score in zip(points, scores, strict=True)]


def test_track_returns_its_detections_in_order_and_converted(rng: np.random.Generator) -> None:
    detections = people(700, rng)
    order = rng.permutation(700)
    track = Track(BLAZEPOSE33)
    for frame in order:
        track.add(3 * int(frame), detections[frame])
    frames, rows = track.detections()
    np.testing.assert_array_equal(frames, 3 * np.arange(700))
    xy, score = to_h36m17(
        np.stack([person.xy for person in detections]),
        np.stack([person.score for person in detections]),
        BLAZEPOSE33,
    )
    np.testing.assert_array_equal(rows[..., :2], xy)
    np.testing.assert_array_equal(rows[..., 2], score)


def test_keypoints_beyond_the_coordinate_limit_are_unseen() -> None:
    points = np.full((17, 2), 100, np.float32)
    points[3] = [3e6, 0]
    track = Track(H36M17)
    track.add(0, Person(points, np.ones(17, np.float32)))
    _, rows = track.detections()
    np.testing.assert_array_equal(np.flatnonzero(rows[0, :, 2] == 0), [3])


def test_frames_are_split_at_gaps_longer_than_half_a_second() -> None:
    times = np.arange(100) / 10
    assert [run.tolist() for run in split_at_gaps([3], times)] == [[3]]
    runs = split_at_gaps([0, 1, 2, 7, 8, 14, 15], times)
    assert [run.tolist() for run in runs] == [[*range(9)], [14, 15]]
    slowly = np.arange(10) * 2.0
    assert [run.tolist() for run in split_at_gaps([0, 1, 2], slowly)] == [[0, 1, 2]]
    assert [run.tolist() for run in split_at_gaps([0, 3, 6], slowly, every=3)] == [[*range(7)]]


def test_fill_equals_numpy_interp_in_time(rng: np.random.Generator) -> None:
    times_s = np.cumsum(rng.uniform(0.01, 0.1, 40))
    detected = np.array([2, 6, 10, 14, 17])
    rows = rng.uniform(0.1, 1, (5, 17, 3)).astype(np.float32)
    run = np.arange(2, 18)
    filled, bridged = fill(run, detected, rows, times_s, every=4)
    assert not bridged.any()
    flat = rows.reshape(5, -1).T
    expected = [np.interp(times_s[run], times_s[detected], column) for column in flat]
    np.testing.assert_allclose(filled.reshape(16, -1).T, expected, atol=1e-6)


@pytest.mark.parametrize(("every", "missed"), [(1, [1, 2, 4]), (2, [1, 2]), (3, [])])
def test_frames_beside_a_missed_detection_are_bridged(every: int, missed: list[int]) -> None:
    rows = np.ones((3, 17, 3), np.float32)
    filled, bridged = fill(np.arange(6), np.array([0, 3, 5]), rows, np.arange(6) / 30, every)
    np.testing.assert_array_equal(filled, np.ones((6, 17, 3)))
    np.testing.assert_array_equal(np.flatnonzero(bridged), missed)


def test_joint_unseen_in_one_detection_is_unseen_up_to_it() -> None:
    rows = np.ones((2, 17, 3), np.float32)
    rows[1, 5] = 0
    filled, _ = fill(np.arange(4), np.array([0, 3]), rows, np.arange(4) / 30, every=3)
    np.testing.assert_array_equal(filled[:, 5, 2], [1, 0, 0, 0])
    np.testing.assert_array_equal(filled[:, 4, 2], [1, 1, 1, 1])
