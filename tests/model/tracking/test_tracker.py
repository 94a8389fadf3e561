"""Identities: kept through crossings and losses, given to people only, counted from 1."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest

from model.detectors.person import Person
from model.tracking.tracker import BRIDGE_S, Tracker

FPS = 25.0


def person(x: float, y: float = 200, *, shape: int = 0, scale: float = 1) -> Person:
    """Somebody about 100 px tall; another shape is another posture."""
    rng = np.random.default_rng(shape)
    points = rng.uniform([-20, -50], [20, 50], (17, 2)) * scale + [x, y]
    return Person(points.astype(np.float32), np.full(17, 0.9, np.float32))


def follow(
    frames: Sequence[Sequence[Person]], max_people: int = 4, fps: float = FPS
) -> dict[int, dict[int, Person]]:
    """id -> frame -> person, of a whole video."""
    tracker = Tracker(fps, max_people)
    seen: dict[int, dict[int, Person]] = defaultdict(dict)
    for frame, people in enumerate(frames):
        for id, who in tracker.update(people):
            seen[id][frame] = who
        for earlier in tracker.recovered:
            seen[earlier.id][earlier.frame] = earlier.person
    for last in tracker.finish():
        seen[last.id][last.frame] = last.person
    return dict(seen)


def test_two_who_pass_each_other_keep_their_identity_in_any_order_of_detection() -> None:
    rng = np.random.default_rng(0)
    to_right = [person(100 + 8 * t, shape=1) for t in range(50)]
    to_left = [person(500 - 8 * t, shape=2) for t in range(50)]
    frames = [[pair[i] for i in rng.permutation(2)] for pair in zip(to_right, to_left, strict=True)]
    found = follow(frames)
    assert set(found) == {1, 2}
    by_side = sorted(found.values(), key=lambda seen: float(seen[0].middle()[0]))
    for seen, expected in zip(by_side, (to_right, to_left), strict=True):
        assert [seen[t] for t in range(50)] == expected


def test_everyone_is_there_from_the_frame_they_were_first_seen_in() -> None:
    frames = [[person(100)] + [person(400, shape=1)] * (t >= 10) for t in range(30)]
    found = follow(frames)
    assert {id: (min(seen), max(seen)) for id, seen in found.items()} == {1: (0, 29), 2: (10, 29)}


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_what_is_seen_for_three_frames_is_nobody(fps: float, frames: int) -> None:
    ghosts = [[person(100)] + [person(400, shape=1)] * (5 <= t < 5 + frames) for t in range(60)]
    assert set(follow(ghosts, fps=fps)) == {1}


@pytest.mark.parametrize("fps", [24.0, 60.0])
def test_a_short_loss_is_bridged_and_a_long_one_is_someone_new(fps: float) -> None:
    for lost_s, ids in ((0.8 * BRIDGE_S, {1}), (1.3 * BRIDGE_S, {1, 2})):
        lost = range(30, 30 + round(lost_s * fps))
        frames = [[] if t in lost else [person(100 + 2 * t)] for t in range(lost.stop + 30)]
        assert set(follow(frames, fps=fps)) == ids


@pytest.mark.parametrize("every", [1, 6, 12])
def test_time_goes_by_where_nobody_looks(every: int) -> None:
    """Live pictures are skipped when the detector is behind."""
    fps = 60

    def looks(away: range) -> list[tuple[int, set[int]]]:
        tracker = Tracker(fps, max_people=4)
        seen = {
            t: [] if t in away else [person(100 + 2 * t)] for t in range(0, away.stop + fps, every)
        }
        return [(t, {id for id, _ in tracker.update(people, t)}) for t, people in seen.items()]

    first = next(t for t, ids in looks(range(0)) if ids)
    assert first == max(8, 3 * every)  # 9 frames, or 4 looks
    for lost_s, expected in ((0.8 * BRIDGE_S, {1}), (1.3 * BRIDGE_S, {1, 2})):
        found = looks(range(fps, fps + round(lost_s * fps)))
        assert set().union(*(ids for _, ids in found)) == expected


def test_where_looks_are_rarer_than_people_are_missed_they_keep_their_identity() -> None:
    tracker = Tracker(30, max_people=4)
    found = [tracker.update([person(100)], frame) for frame in range(0, 600, 45)]
    assert [[id for id, _ in one] for one in found] == [[]] * 3 + [[1]] * 11


def test_a_lost_person_is_not_somebody_far_away() -> None:
    frames = [[person(100)] if t < 30 else [person(900, shape=1)] for t in range(60)]
    assert set(follow(frames)) == {1, 2}


@pytest.mark.parametrize(
    "double", [person(105, 203), person(100, 225, scale=0.5)], ids=["whole", "part"]
)
def test_one_found_twice_is_one(double: Person) -> None:
    frames = [[person(100), double] for _ in range(40)]
    assert set(follow(frames)) == {1}


def test_more_people_than_asked_for_are_left_out_and_said() -> None:
    tracker = Tracker(FPS, max_people=2)
    crowd = [person(200 * n, shape=n) for n in range(4)]
    ids = [{id for id, _ in tracker.update(crowd)} for _ in range(20)]
    assert ids[-1] == {1, 2} and tracker.crowded
    alone = Tracker(FPS, max_people=2)
    for _ in range(20):
        alone.update(crowd[:2])
    assert not alone.crowded


def test_a_place_that_is_left_is_taken() -> None:
    frames = [[person(100)] if t < 40 else [person(900, shape=1)] for t in range(120)]
    found = follow(frames, max_people=1)
    assert set(found) == {1, 2} and max(found[2]) == 119


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_in_a_video_of_a_few_frames_people_are_sure_at_once(frames: int) -> None:
    found = follow([[person(100), person(400, shape=1)]] * frames)
    assert {id: sorted(seen) for id, seen in found.items()} == {
        1: list(range(frames)),
        2: list(range(frames)),
    }
    ghost = [[person(100)] + [person(400, shape=1)] * (t == 1) for t in range(3)]
    assert set(follow(ghost)) == {1}


def test_nobody_is_nobody() -> None:
    assert follow([]) == follow([[]] * 10) == {}


def test_people_whose_points_are_hidden_are_followed_all_the_same() -> None:
    hidden = [[Person(person(100 + 3 * t).xy, np.zeros(17, np.float32))] for t in range(20)]
    assert set(follow(hidden)) == {1}
