"""Identities: kept through crossings and losses, assigned to confirmed people, counted from 1."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest

from model.detectors.person import Person
from model.tracking.tracker import BRIDGE_S, Tracker

FPS = 25.0


def person(x: float, y: float = 200, *, shape: int = 0, scale: float = 1) -> Person:
    """A person about 100 px tall; another shape is another posture."""
    rng = np.random.default_rng(shape)
    points = rng.uniform([-20, -50], [20, 50], (17, 2)) * scale + [x, y]
    return Person(points.astype(np.float32), np.full(17, 0.9, np.float32))


def track(
    frames: Sequence[Sequence[Person]], max_people: int = 4, fps: float = FPS
) -> dict[int, dict[int, Person]]:
    """id -> frame -> person, of a whole video."""
    tracker = Tracker(max_people)
    seen: dict[int, dict[int, Person]] = defaultdict(dict)
    for frame, people in enumerate(frames):
        for id, person in tracker.update(people, frame / fps):
            seen[id][frame] = person
        for earlier in tracker.recovered:
            seen[earlier.id][earlier.update] = earlier.person
    for last in tracker.finish():
        seen[last.id][last.update] = last.person
    return dict(seen)


def test_tracker_keeps_ids_when_two_people_cross_in_any_order_of_detections() -> None:
    rng = np.random.default_rng(0)
    to_right = [person(100 + 8 * t, shape=1) for t in range(50)]
    to_left = [person(500 - 8 * t, shape=2) for t in range(50)]
    frames = [[pair[i] for i in rng.permutation(2)] for pair in zip(to_right, to_left, strict=True)]
    tracks = track(frames)
    assert set(tracks) == {1, 2}
    by_side = sorted(tracks.values(), key=lambda seen: float(seen[0].middle()[0]))
    for seen, expected in zip(by_side, (to_right, to_left), strict=True):
        assert [seen[t] for t in range(50)] == expected


def test_track_starts_at_its_first_detected_frame() -> None:
    frames = [[person(100)] + [person(400, shape=1)] * (t >= 10) for t in range(30)]
    tracks = track(frames)
    assert {id: (min(seen), max(seen)) for id, seen in tracks.items()} == {1: (0, 29), 2: (10, 29)}


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_detections_of_up_to_three_frames_are_not_confirmed(fps: float, frames: int) -> None:
    ghosts = [[person(100)] + [person(400, shape=1)] * (5 <= t < 5 + frames) for t in range(60)]
    assert set(track(ghosts, fps=fps)) == {1}


@pytest.mark.parametrize("fps", [24.0, 60.0])
def test_id_is_kept_after_a_short_loss_and_new_after_a_long_one(fps: float) -> None:
    for lost_s, ids in ((0.8 * BRIDGE_S, {1}), (1.3 * BRIDGE_S, {1, 2})):
        lost = range(30, 30 + round(lost_s * fps))
        frames = [[] if t in lost else [person(100 + 2 * t)] for t in range(lost.stop + 30)]
        assert set(track(frames, fps=fps)) == ids


@pytest.mark.parametrize("every", [1, 6, 12])
def test_skipped_frames_count_as_time(every: int) -> None:
    """A live stream skips frames when the detector is behind."""
    fps = 60

    def updates(lost: range) -> list[tuple[int, set[int]]]:
        tracker = Tracker(max_people=4)
        seen = {
            t: [] if t in lost else [person(100 + 2 * t)] for t in range(0, lost.stop + fps, every)
        }
        return [
            (t, {id for id, _ in tracker.update(people, t / fps)}) for t, people in seen.items()
        ]

    first = next(t for t, ids in updates(range(0)) if ids)
    assert first == max(8, 3 * every)  # 9 frames, or 4 detected frames
    for lost_s, expected in ((0.8 * BRIDGE_S, {1}), (1.3 * BRIDGE_S, {1, 2})):
        ids_by_frame = updates(range(fps, fps + round(lost_s * fps)))
        assert set().union(*(ids for _, ids in ids_by_frame)) == expected


def test_id_is_kept_when_detected_frames_are_farther_apart_than_a_loss() -> None:
    tracker = Tracker(max_people=4)
    tracked = [tracker.update([person(100)], frame / 30) for frame in range(0, 600, 45)]
    assert [[id for id, _ in people] for people in tracked] == [[]] * 3 + [[1]] * 11


def test_distant_detection_gets_a_new_id() -> None:
    frames = [[person(100)] if t < 30 else [person(900, shape=1)] for t in range(60)]
    assert set(track(frames)) == {1, 2}


@pytest.mark.parametrize(
    "double", [person(105, 203), person(100, 225, scale=0.5)], ids=["whole", "part"]
)
def test_duplicate_detections_make_one_track(double: Person) -> None:
    frames = [[person(100), double] for _ in range(40)]
    assert set(track(frames)) == {1}


def test_tracker_is_crowded_only_with_more_than_max_people() -> None:
    tracker = Tracker(max_people=2)
    crowd = [person(200 * n, shape=n) for n in range(4)]
    ids = [{id for id, _ in tracker.update(crowd, t / FPS)} for t in range(20)]
    assert ids[-1] == {1, 2} and tracker.crowded
    tracker = Tracker(max_people=2)
    for t in range(20):
        tracker.update(crowd[:2], t / FPS)
    assert not tracker.crowded


def test_lost_track_makes_room_for_another_person() -> None:
    frames = [[person(100)] if t < 40 else [person(900, shape=1)] for t in range(120)]
    tracks = track(frames, max_people=1)
    assert set(tracks) == {1, 2} and max(tracks[2]) == 119


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_video_confirms_people_detected_in_all_frames(frames: int) -> None:
    tracks = track([[person(100), person(400, shape=1)]] * frames)
    assert {id: sorted(seen) for id, seen in tracks.items()} == {
        1: list(range(frames)),
        2: list(range(frames)),
    }
    ghost = [[person(100)] + [person(400, shape=1)] * (t == 1) for t in range(3)]
    assert set(track(ghost)) == {1}


def test_frames_without_people_make_no_tracks() -> None:
    assert track([]) == track([[]] * 10) == {}


def test_people_without_visible_joints_are_tracked() -> None:
    hidden = [[Person(person(100 + 3 * t).xy, np.zeros(17, np.float32))] for t in range(20)]
    assert set(track(hidden)) == {1}


@pytest.mark.parametrize("before", [[0.0], [t / 30 for t in range(60)]], ids=["first", "30 fps"])
def test_people_are_confirmed_again_after_updates_become_rare(before: list[float]) -> None:
    tracker = Tracker(max_people=4)
    times_s = [*before, *(before[-1] + 2.0 * t for t in range(1, 60))]
    tracked = [tracker.update([person(100)], time_s) for time_s in times_s]
    assert all(tracked[-30:])
