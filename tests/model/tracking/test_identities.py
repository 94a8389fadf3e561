"""Hard cases of who is who, as docs/identities.md tells them: from real clips, cut and composed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from model import Lifter, VideoOptions, VideoResult, lift_video, open_video
from model.detectors.person import Person
from model.tracking.tracker import Tracker
from paths import ONE

FPS = 30.0

Picture = NDArray[np.uint8]
Places = NDArray[np.float64]


@pytest.fixture(scope="module")
def lifter(weights_file: Path) -> Lifter:
    return Lifter.load(weights_file)


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    """Every second frame of the clip of one person: 24 at 30 frames/s, 360 px wide."""
    with open_video(ONE) as video:
        return [frame.image for frame in video.frames(2)][:24]


@pytest.fixture
def actors(real_result: VideoResult) -> list[list[Person]]:
    """Two real people of 75 frames, their middle at the origin, 200 px tall, there and back."""
    played = []
    for person in real_result.people:
        xy = person.keypoints.xy - person.keypoints.xy[:, :1]
        xy *= 200 / np.median(np.ptp(xy[..., 1], axis=1))
        there = [Person(*frame) for frame in zip(xy, person.keypoints.confidence, strict=True)]
        played.append(there + there[::-1])
    return played


def at(people: Sequence[Person], x: Places) -> list[Person]:
    """Walking: frame t at x[t] px."""
    moved = [np.array([way, 300], np.float32) for way in x]
    return [replace(p, xy=p.xy + way) for p, way in zip(people, moved, strict=False)]


def ids_of(*tracks: Sequence[Person | None]) -> dict[int, list[int]]:
    """What person n looks like in frame t, None where unseen -> id -> n, frame by frame."""
    tracker = Tracker(FPS, max_people=4)
    rng = np.random.default_rng(0)
    names = {id(person): n for n, track in enumerate(tracks) for person in track if person}
    found: dict[int, list[int]] = defaultdict(list)
    for frame in zip(*tracks, strict=True):
        seen = [person for person in frame if person]
        now = tracker.update([seen[i] for i in rng.permutation(len(seen))])
        for earlier in tracker.recovered:
            found[earlier.id].append(names[id(earlier.person)])
        for known, person in now:
            found[known].append(names[id(person)])
    return found


def hidden(track: Sequence[Person], frames: Sequence[int]) -> list[Person | None]:
    return [None if t in frames else person for t, person in enumerate(track)]


def write_film(path: Path, pictures: Sequence[Picture]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(FPS))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_two_who_swap_places_keep_their_ids(actors: list[list[Person]]) -> None:
    ways = np.linspace(100, 900, 60), np.linspace(900, 100, 60)
    behind = [t for t in range(60) if abs(ways[0][t] - ways[1][t]) < 80]
    near, far = (at(actor, x) for actor, x in zip(actors, ways, strict=True))
    ids = ids_of(near, hidden(far, behind))
    assert sorted(ids.values()) == [[0] * 60, [1] * (60 - len(behind))]


@pytest.mark.parametrize("unseen", [[], [*range(40), *range(52, 90)]], ids=["known", "unknown"])
def test_a_bystander_far_behind_does_not_take_the_subjects_id(
    actors: list[list[Person]], unseen: list[int]
) -> None:
    """The subject walks past a small person who stands there, and is missed for 0.4 s."""
    subject = at(actors[0], np.linspace(100, 775, 90))
    small = [replace(p, xy=p.xy * np.float32(0.3)) for p in actors[1]]
    bystander = at(small, np.full(90, 430.0))
    ids = ids_of(hidden(subject, range(40, 52)), hidden(bystander, unseen))
    assert [0] * 78 in ids.values()
    assert unseen or [1] * 90 in ids.values()


def test_when_everybody_leaves_for_ten_seconds_those_who_come_are_new(
    actors: list[list[Person]],
) -> None:
    away: list[Person | None] = [None] * 300
    pair = [at(actor, np.full(60, 600.0 * n)) for n, actor in enumerate(actors)]
    ids = ids_of(*([*track[:30], *away, *track[30:]] for track in pair))
    assert sorted(ids) == [1, 2, 3, 4] and {len(seen) for seen in ids.values()} == {30}


def test_of_eleven_people_four_are_followed(actors: list[list[Person]]) -> None:
    ids = ids_of(*(at(actors[n % 2], np.full(30, 150.0 * n)) for n in range(11)))
    assert sorted(ids) == [1, 2, 3, 4]
    assert all(seen == seen[:1] * 30 for seen in ids.values())


def test_clips_joined_with_a_gap(pictures: list[Picture], lifter: Lifter, tmp_path: Path) -> None:
    """Nobody for 0.6 s: the same person; for 1.5 s: a new one."""
    dark = [np.zeros_like(pictures[0])]
    joined = [*pictures[:12], *dark * 18, *pictures[12:], *dark * 45, *pictures[:12]]
    film = write_film(tmp_path / "joined.mp4", joined)
    result = lift_video(film, lifter, VideoOptions(max_people=1))
    first, second = result.people
    assert set(first.frames) <= {*range(12), *range(30, 42)}
    assert min(first.frames) == 0 and max(first.frames) >= 40
    assert min(second.frames) >= 87


def test_a_mirror_shows_a_second_person_and_a_picture_on_the_wall_one_who_never_moves(
    pictures: list[Picture], lifter: Lifter, tmp_path: Path
) -> None:
    there_and_back = [*pictures, *pictures[::-1]]
    shown = [np.hstack([p, p[:, ::-1], pictures[0]]) for p in there_and_back]
    result = lift_video(write_film(tmp_path / "three.mp4", shown), lifter)
    by_x = sorted(result.people, key=lambda one: float(one.keypoints.xy[0, 0, 0]))
    assert [len(person.frames) for person in by_x] == [48] * 3
    still = [said for said in result.warnings if "does not move at all" in said]
    assert still == [f"person {by_x[2].id} does not move at all: perhaps a picture of a person"]


def test_a_person_half_out_of_the_picture_throughout(
    pictures: list[Picture], lifter: Lifter, tmp_path: Path
) -> None:
    film = write_film(tmp_path / "half.mp4", [p[:320] for p in pictures])
    (person,) = lift_video(film, lifter, VideoOptions(max_people=1)).people
    assert person.frames.tolist() == list(range(24))
    assert np.isfinite(person.poses.xyz).all()
