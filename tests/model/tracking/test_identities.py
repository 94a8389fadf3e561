"""Hard cases of identities (docs/identities.md), composed from real clips."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from model import Lifter, VideoOptions, VideoResult, lift_video, open_video
from model.detectors.person import Person
from model.keypoints.sequences import Float64, Image
from model.tracking.tracker import Tracker
from paths import ONE

FPS = 30.0


@pytest.fixture(scope="module")
def lifter(weights_file: Path) -> Lifter:
    return Lifter.load(weights_file)


@pytest.fixture(scope="module")
def images() -> list[Image]:
    """Every second frame of the clip of one person: 24 at 30 frames/s, 360 px wide."""
    with open_video(ONE) as video:
        return [frame.image for frame in video.frames(2)][:24]


@pytest.fixture
def actors(real_result: VideoResult) -> list[list[Person]]:
    """Two real people, 75 frames forwards then backwards, pelvis at the origin, 200 px tall."""
    actors = []
    for person in real_result.people:
        xy = person.keypoints.xy - person.keypoints.xy[:, :1]
        xy *= 200 / np.median(np.ptp(xy[..., 1], axis=1))
        forwards = [Person(*frame) for frame in zip(xy, person.keypoints.confidence, strict=True)]
        actors.append(forwards + forwards[::-1])
    return actors


def at(people: Sequence[Person], x: Float64) -> list[Person]:
    """Walking: frame t at x[t] px."""
    offsets = [np.array([offset, 300], np.float32) for offset in x]
    return [replace(p, xy=p.xy + offset) for p, offset in zip(people, offsets, strict=False)]


def ids_of(*tracks: Sequence[Person | None]) -> dict[int, list[int]]:
    """tracks[n][t]: person n in frame t, None if hidden -> id -> n, frame by frame."""
    tracker = Tracker(max_people=4)
    rng = np.random.default_rng(0)
    numbers = {id(person): n for n, track in enumerate(tracks) for person in track if person}
    ids: dict[int, list[int]] = defaultdict(list)
    for t, frame in enumerate(zip(*tracks, strict=True)):
        seen = [person for person in frame if person]
        tracked = tracker.update([seen[i] for i in rng.permutation(len(seen))], t / FPS)
        for earlier in tracker.recovered:
            ids[earlier.id].append(numbers[id(earlier.person)])
        for number, person in tracked:
            ids[number].append(numbers[id(person)])
    return ids


def hidden(track: Sequence[Person], frames: Sequence[int]) -> list[Person | None]:
    return [None if t in frames else person for t, person in enumerate(track)]


def write_video(path: Path, images: Sequence[Image]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(FPS))
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_ids_are_kept_when_two_people_swap_places(actors: list[list[Person]]) -> None:
    xs = np.linspace(100, 900, 60), np.linspace(900, 100, 60)
    behind = [t for t in range(60) if abs(xs[0][t] - xs[1][t]) < 80]
    near, far = (at(actor, x) for actor, x in zip(actors, xs, strict=True))
    ids = ids_of(near, hidden(far, behind))
    assert sorted(ids.values()) == [[0] * 60, [1] * (60 - len(behind))]


@pytest.mark.parametrize("unseen", [[], [*range(40), *range(52, 90)]], ids=["known", "unknown"])
def test_distant_bystander_does_not_take_the_subjects_id(
    actors: list[list[Person]], unseen: list[int]
) -> None:
    """The subject walks past a small, standing person and is not detected for 0.4 s."""
    subject = at(actors[0], np.linspace(100, 775, 90))
    small = [replace(p, xy=p.xy * np.float32(0.3)) for p in actors[1]]
    bystander = at(small, np.full(90, 430.0))
    ids = ids_of(hidden(subject, range(40, 52)), hidden(bystander, unseen))
    assert [0] * 78 in ids.values()
    assert unseen or [1] * 90 in ids.values()


def test_people_get_new_ids_after_ten_seconds_without_people(
    actors: list[list[Person]],
) -> None:
    away: list[Person | None] = [None] * 300
    pair = [at(actor, np.full(60, 600.0 * n)) for n, actor in enumerate(actors)]
    ids = ids_of(*([*track[:30], *away, *track[30:]] for track in pair))
    assert sorted(ids) == [1, 2, 3, 4] and {len(seen) for seen in ids.values()} == {30}


def test_four_of_eleven_people_are_tracked(actors: list[list[Person]]) -> None:
    ids = ids_of(*(at(actors[n % 2], np.full(30, 150.0 * n)) for n in range(11)))
    assert sorted(ids) == [1, 2, 3, 4]
    assert all(seen == seen[:1] * 30 for seen in ids.values())


def test_id_is_kept_over_a_gap_of_600_ms_and_new_after_1500_ms(
    images: list[Image], lifter: Lifter, tmp_path: Path
) -> None:
    dark = [np.zeros_like(images[0])]
    joined = [*images[:12], *dark * 18, *images[12:], *dark * 45, *images[:12]]
    video = write_video(tmp_path / "joined.mp4", joined)
    result = lift_video(video, lifter, VideoOptions(max_people=1))
    first, second = result.people
    assert set(first.frames) <= {*range(12), *range(30, 42)}
    assert min(first.frames) == 0 and max(first.frames) >= 40
    assert min(second.frames) >= 87


def test_mirror_image_is_a_person_and_still_picture_gives_a_warning(
    images: list[Image], lifter: Lifter, tmp_path: Path
) -> None:
    looped = [*images, *images[::-1]]
    shown = [np.hstack([p, p[:, ::-1], images[0]]) for p in looped]
    result = lift_video(write_video(tmp_path / "three.mp4", shown), lifter)
    by_x = sorted(result.people, key=lambda person: float(person.keypoints.xy[0, 0, 0]))
    assert [len(person.frames) for person in by_x] == [48] * 3
    still = [text for text in result.warnings if "does not move at all" in text]
    assert still == [f"person {by_x[2].id} does not move at all: perhaps a picture of a person"]


def test_person_half_outside_the_image_is_tracked_in_all_frames(
    images: list[Image], lifter: Lifter, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "half.mp4", [p[:320] for p in images])
    (person,) = lift_video(video, lifter, VideoOptions(max_people=1)).people
    assert person.frames.tolist() == list(range(24))
    assert np.isfinite(person.poses.xyz).all()
