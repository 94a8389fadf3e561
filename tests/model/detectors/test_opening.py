"""Following people, on blobs at known pixels; MediaPipe, from its own wheel, on a real clip."""

import os
import socket
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from model.detectors.following import (
    LOST_AFTER_S,
    MAX_SQUARES,
    Landmarker,
    PeopleFollower,
    Square,
    search_squares,
)
from model.detectors.mediapipe import landmarker
from model.detectors.opening import open_detector
from model.detectors.person import Person, distance, is_same
from model.errors import DetectorUnavailable, InvalidInput, UnknownName
from model.keypoints.joint_sets import BLAZEPOSE33
from model.keypoints.sequences import Image
from model.video.reader import open_video
from paths import TWO

FRAME_MS = 40


def person(x: float = 0, y: float = 0, scale: float = 1, score: float = 1) -> Person:
    points = np.array([[-10, -40], [10, -40], [-12, 0], [12, 0], [0, -50], [-8, 50], [8, 50]])
    return Person(np.float32(points * scale + [x, y]), np.full(len(points), score, np.float32))


def blobs(*places: tuple[int, int], size: tuple[int, int] = (640, 360)) -> Image:
    """A black image with a box of its own grey at each place."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for number, (x, y) in enumerate(places, start=1):
        image[max(0, y - 30) : max(0, y + 30), max(0, x - 10) : max(0, x + 10)] = 40 * number
    return image


class BlobLandmarker:
    """Detects blobs as people with five points, the corners and the middle, nearest to the middle
    of the image first."""

    def __init__(self, people: int):
        self.people = people
        self.calls = 0
        self.closed = False

    def __call__(self, image: Image, time_ms: int) -> list[Person]:
        self.calls += 1
        assert image.shape[0] == image.shape[1] and image.shape[2] == 3
        greys = [int(grey) for grey in np.unique(image) if grey]
        nearest = sorted(greys, key=lambda grey: self._off_middle(image, grey))
        return [self._person(image, grey) for grey in nearest[: self.people]]

    def _off_middle(self, image: Image, grey: int) -> float:
        return float(np.abs(self._person(image, grey).middle() - len(image) / 2).sum())

    def _person(self, image: Image, grey: int) -> Person:
        y, x = np.nonzero(image[..., 0] == grey)
        corners = [(a, b) for a in (x.min(), x.max()) for b in (y.min(), y.max())]
        xy = np.array([*corners, np.mean(corners, axis=0)], np.float32)
        return Person(xy, np.ones(5, np.float32))

    def close(self) -> None:
        self.closed = True


class Follower:
    """A PeopleFollower of blobs, its landmarkers, and a clock."""

    def __init__(self, max_people: int = 4):
        self.search = BlobLandmarker(max_people)
        self.opened: list[BlobLandmarker] = []
        self.time_ms = 0
        self.follower = PeopleFollower(self.search, self._open, max_people)

    def _open(self) -> Landmarker:
        self.opened.append(BlobLandmarker(1))
        return self.opened[-1]

    def detect(self, *places: tuple[int, int]) -> list[tuple[int, int]]:
        self.time_ms += FRAME_MS
        people = self.follower.detect(blobs(*places), self.time_ms)
        return [(round(x + 0.5), round(y + 0.5)) for x, y in (p.middle() for p in people)]


def test_square_maps_its_pixels_to_image_pixels() -> None:
    image = np.random.default_rng(0).integers(1, 255, (90, 160, 3), np.uint8)
    for square in (Square(20, 10, 64), Square(-30, -20, 100), Square(120, 60, 80)):
        part = square.cut(image)
        assert part.shape == (square.side, square.side, 3)
        for x, y in ((0, 0), (13, 40), (square.side - 1, square.side - 1)):
            (to,) = square.to_image(Person(np.float32([[x, y]]), np.float32([1]))).xy.astype(int)
            inside = 0 <= to[0] < 160 and 0 <= to[1] < 90
            expected = image[to[1], to[0]] if inside else [0, 0, 0]
            np.testing.assert_array_equal(part[y, x], expected)


@pytest.mark.parametrize("place", [(0, 0), (-700, 40), (11_990, -3), (20_000, 0)])
def test_large_square_is_subsampled(place: tuple[int, int]) -> None:
    """MediaPipe crashes from 2 GB."""
    image = np.random.default_rng(0).integers(1, 255, (90, 12_000, 3), np.uint8)
    square = Square(*place, 10_000)
    part = square.cut(image)
    assert square.step == 3 and part.shape == (3334, 3334, 3)
    inside = 0
    for y, x in np.argwhere(part.any(axis=-1))[::5000]:
        (to,) = square.to_image(Person(np.float32([[x, y]]), np.float32([1]))).xy.astype(int)
        np.testing.assert_array_equal(part[y, x], image[to[1], to[0]])
        inside += 1
    assert bool(inside) == (place[0] < 12_000)


def test_narrow_image_is_searched_in_at_most_16_squares() -> None:
    for size in ((1500, 1), (1, 16_384)):
        assert len(search_squares(*size)) == 1 + MAX_SQUARES


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (500, 480), (2000, 300), (64, 64)])
def test_search_squares_cover_the_image(size: tuple[int, int]) -> None:
    whole, *parts = search_squares(*size)
    ones = np.ones((size[1], size[0], 3), np.uint8)
    assert whole.side == max(size) and whole.cut(ones).sum() == ones.sum()
    covered = np.zeros(size[::-1], int)
    for square in parts:
        assert square.cut(ones).all(), "squares must be inside the image"
        covered[square.top : square.top + square.side, square.left : square.left + square.side] += 1
    assert not parts or covered.min() >= 1


def test_moving_people_are_followed_to_the_pixel() -> None:
    follower = Follower()
    for step in range(40):
        places = [(60 + 7 * step, 100), (500 - 5 * step, 250 - 2 * step)]
        assert sorted(follower.detect(*places)) == sorted(places)
    assert len(follower.opened) == 2


def test_new_people_are_found_and_lost_people_are_dropped() -> None:
    follower = Follower()
    assert follower.detect() == []
    assert follower.detect((100, 100)) == [(100, 100)], "without people every image is searched"
    seen = [follower.detect((100, 100), (500, 200)) for _ in range(10)]
    assert seen[-1] == [(100, 100), (500, 200)]
    assert follower.detect((100, 100)) == [(100, 100)]
    for _ in range(round(LOST_AFTER_S * 1000 / FRAME_MS) + 2):
        follower.detect((100, 100))
    calls = follower.opened[1].calls
    follower.detect((100, 100))
    assert follower.opened[1].calls == calls


def test_landmarker_is_reused_for_the_next_person() -> None:
    follower = Follower(max_people=1)
    for place in ((100, 100), (400, 200), (250, 80)):
        for _ in range(20):
            follower.detect()
        assert follower.detect(place) == [place]
    assert len(follower.opened) == 1


def test_at_most_max_people_are_followed() -> None:
    follower = Follower(max_people=2)
    places = [(100, 100), (300, 150), (500, 200)]
    for _ in range(30):
        assert len(follower.detect(*places)) == 2


def test_two_landmarkers_on_the_same_person_become_one() -> None:
    follower = Follower()
    for step in range(30):
        follower.detect((100 + 6 * step, 100), (440 - 6 * step, 100))
    for _ in range(30):
        seen = follower.detect((300, 100))
    assert seen == [(300, 100)]


def test_close_closes_every_landmarker() -> None:
    follower = Follower()
    follower.detect((100, 100), (500, 200))
    follower.follower.close()
    assert all(lm.closed for lm in (follower.search, *follower.opened))


def test_distance_and_duplicates_of_people() -> None:
    upright = person()
    assert distance(upright, person(30)) == pytest.approx(30 / upright.size(), rel=1e-6)
    assert is_same(upright, person(5, 5))
    assert is_same(upright, person(0, 30, 0.4)), "a part of the same person"
    assert not is_same(upright, person(60))
    assert Person(upright.xy, upright.score * 0).size() == upright.size(), (
        "without visible points all count"
    )


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSELIFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def images() -> Callable[[int], Iterator[tuple[Image, float]]]:
    def images(count: int) -> Iterator[tuple[Image, float]]:
        with open_video(TWO) as video:
            for frame in islice(video.frames(), count):
                yield frame.image, frame.time_s

    return images


def test_mediapipe_finds_both_people_without_network_or_output(
    fresh_cache: Path,
    images: Callable[[int], Iterator[tuple[Image, float]]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(socket, "socket", None)
    monkeypatch.setattr(landmarker._Landmarker, "_has_found_people", False)
    with closing(open_detector("mediapipe", 3)) as detector:
        assert (detector.name, detector.version) == ("mediapipe", "0.10.21")
        assert detector.skeleton == BLAZEPOSE33
        frames = [detector.detect(image, time_s) for image, time_s in images(6)]
    assert capfd.readouterr() == ("", "")
    for people in frames:
        man, woman = sorted(people, key=lambda person: float(person.middle()[0]))
        for detected, (left, top, right, bottom) in (
            (man, (255, 20, 360, 215)),
            (woman, (620, 250, 740, 450)),
        ):
            assert (
                detected.xy.dtype == detected.score.dtype == np.float32
                and detected.xy.shape == (33, 2)
            )
            assert ((detected.score >= 0) & (detected.score <= 1)).all()
            body = detected.xy[[0, 11, 12, 23, 24, 25, 26, 27, 28]]
            assert ((body > [left, top]) & (body < [right, bottom])).all()


def test_mediapipe_accepts_repeated_times(
    images: Callable[[int], Iterator[tuple[Image, float]]],
) -> None:
    with closing(open_detector("mediapipe", 2)) as detector:
        ((image, _),) = images(1)
        counts = [len(detector.detect(image, time_s)) for time_s in (0.0, 0.0, 0.0001, 0.5)]
        open_one = detector._follower._open_landmarker()
        twice = [len(open_one(Square(40, -20, 480).cut(image), 7)) for _ in range(2)]
        open_one.close()
    assert counts == [2, 2, 2, 2]
    assert twice == [1, 1], "a landmarker may get another person in the same image"


@pytest.mark.parametrize("size", [(2, 2), (16, 240), (33, 17)])
def test_mediapipe_finds_nobody_in_grey_images_of_any_size(size: tuple[int, int]) -> None:
    with closing(open_detector("mediapipe", 2)) as detector:
        assert detector.detect(np.full((*size, 3), 127, np.uint8), 0.0) == []


def test_bundle_is_built_once_and_uncompressed(fresh_cache: Path) -> None:
    built = landmarker._bundle("0.10.21", "")
    (cached,) = fresh_cache.iterdir()
    assert cached.read_bytes() == built
    with zipfile.ZipFile(BytesIO(built)) as bundle:
        entries = bundle.infolist()
    assert {entry.filename for entry in entries} == {
        "pose_detector.tflite",
        "pose_landmarks_detector.tflite",
    }
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    cached.write_bytes(b"cached")
    assert landmarker._bundle("0.10.21", "") == b"cached"
    assert len(landmarker._bundle("0.10.20", "")) == len(built), "each version has its own"


def test_bundle_is_built_without_a_writable_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("POSELIFT_CACHE", str(tmp_path / "file" / "cache"))
    assert zipfile.is_zipfile(BytesIO(landmarker._bundle("0.10.21", "")))


def test_message_of_a_damaged_bundle_names_the_cache(fresh_cache: Path) -> None:
    fresh_cache.mkdir()
    (fresh_cache / "mediapipe-0.10.21-pose_landmarker_full.task").write_bytes(b"damaged")
    with pytest.raises(DetectorUnavailable, match="cache"):
        open_detector("mediapipe", 1)


def test_message_without_mediapipe_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(DetectorUnavailable, match="install mediapipe==0.10.21"):
        open_detector("mediapipe", 1)


def test_only_log_notes_are_filtered_from_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with landmarker._filtered_stderr():
        os.write(2, b"I0000 00:00:1 x.cc:1] a note\nsomething else\nE0000 00:00:1 y.cc:2] wrong\n")
    assert capfd.readouterr().err == "something else\nE0000 00:00:1 y.cc:2] wrong\n"


def test_unknown_detector_and_zero_people_are_rejected() -> None:
    with pytest.raises(UnknownName, match="known: mediapipe"):
        open_detector("openpose", 1)
    with pytest.raises(InvalidInput, match="max_people"):
        open_detector("mediapipe", 0)
