"""Motion follows the times of a video's frames, whatever these are like."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import c3d
import numpy as np
import pygltflib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from films import pictures_of, showing
from model import (
    H36M17,
    KeypointSequence,
    Lifter,
    MotionOptions,
    Person,
    PersonMotion,
    VideoResult,
    carry_out,
    lift_video,
    smooth,
    write_motion,
)
from model.lifting.grid import frame_rate
from model.motion.chain import lift_motion
from paths import TWO

EVEN = np.arange(75) / 30
Images = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def lifter(weights_file: Path) -> Lifter:
    return Lifter.load(weights_file)


@pytest.fixture(scope="module")
def images() -> Images:
    return pictures_of(TWO)


@pytest.fixture(scope="module")
def lift(lifter: Lifter, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., VideoResult]:
    folder = tmp_path_factory.mktemp("films")

    def lift(content: bytes, report: Any = None) -> VideoResult:
        path = folder / "film"
        path.write_bytes(content)
        return lift_video(path, lifter, None, report)

    return lift


@pytest.fixture(scope="module")
def even(images: Images, lift: Callable[..., VideoResult]) -> VideoResult:
    return lift(showing(images, EVEN))


def test_jittered_times_give_the_people_and_nearly_the_poses_of_even_ones(
    images: Images, lift: Callable[..., VideoResult], even: VideoResult
) -> None:
    times = EVEN + np.random.default_rng(0).uniform(0, 0.006, 75)
    result = lift(showing(images, times))
    assert result.video.fps == pytest.approx(30, rel=0.01)
    assert [person.id for person in result.people] == [1, 2]
    for person, expected in zip(result.people, even.people, strict=True):
        np.testing.assert_allclose(person.times_s, times[person.frames] - times[0], atol=1e-3)
        rows = np.searchsorted(expected.frames, person.frames)
        apart_mm = 1000 * np.linalg.norm(person.poses.xyz - expected.poses.xyz[rows], axis=-1)
        assert np.median(apart_mm) < 10


@pytest.mark.filterwarnings("ignore:No analog data found")
def test_a_pause_ends_identities_and_leaves_the_rate_and_the_filter_alone(
    images: Images, lift: Callable[..., VideoResult], lifter: Lifter, tmp_path: Path
) -> None:
    times = np.where(np.arange(75) < 40, EVEN, EVEN + 20)
    result = lift(showing(images, times))
    assert result.video.fps == pytest.approx(30, rel=0.01)
    assert result.video.duration_s == pytest.approx(22.5, abs=0.01)
    assert result.applied["smoothing"] == "butterworth"
    before, after = [], []
    for person in result.people:
        assert person.frames[-1] < 40 or person.frames[0] >= 40
        (before if person.frames[-1] < 40 else after).append(person)
        expected = smooth(lifter.lift(person.keypoints), "butterworth").xyz
        np.testing.assert_allclose(person.poses.xyz, expected, atol=1e-3)
    assert len(before) == 2 and after
    for person in result.people:
        assert_lasts(result, person.id, 22.5, tmp_path)


def assert_lasts(result: VideoResult, id: int, duration_s: float, folder: Path) -> None:
    """Opens BVH, C3D, TRC and GLB again: each lasts as long as the film, to a frame."""
    paths = {kind: folder / f"person.{kind}" for kind in ("bvh", "c3d", "trc", "glb")}
    for kind, path in paths.items():
        write_motion(result, kind, path, id)
    lines = paths["bvh"].read_text().splitlines()
    count = int(next(line for line in lines if line.startswith("Frames:")).split()[1])
    step_s = float(next(line for line in lines if line.startswith("Frame Time:")).split()[2])
    assert count * step_s == pytest.approx(duration_s, abs=0.05)
    with paths["c3d"].open("rb") as file:
        reader = c3d.Reader(file)
        assert reader.last_frame / reader.point_rate == pytest.approx(duration_s, abs=0.05)
    last = paths["trc"].read_text().rstrip("\n").splitlines()[-1].split("\t")
    assert float(last[1]) == pytest.approx(duration_s, abs=0.05)
    gltf = pygltflib.GLTF2().load(str(paths["glb"]))
    times = gltf.accessors[gltf.animations[0].samplers[0].input]
    view = gltf.bufferViews[times.bufferView]
    start = view.byteOffset + 4 * (times.count - 1)
    (last_s,) = np.frombuffer(gltf.binary_blob()[start : start + 4], np.float32)
    assert last_s == pytest.approx(duration_s, abs=0.05)


@pytest.mark.filterwarnings("ignore:No analog data found")
def test_motion_files_last_as_long_as_an_even_film(even: VideoResult, tmp_path: Path) -> None:
    for person in even.people:
        assert_lasts(even, person.id, 2.5, tmp_path)


def test_a_larger_size_later_in_the_film_is_the_unit_of_all_keypoints(
    images: Images, lift: Callable[..., VideoResult], even: VideoResult
) -> None:
    small = showing(images[:30], EVEN[:30], suffix="mpegts", size=(428, 240))
    large = showing(images[30:], EVEN[30:], suffix="mpegts")
    result = lift(small + large)
    assert (result.video.width, result.video.height) == (854, 480)
    assert any("size changes" in warning for warning in result.warnings)
    assert len(result.people) == 2
    for person in result.people:
        nearest = min(median_distance_px(person, other) for other in even.people)
        assert len(person.frames) >= 60 and nearest < 5


def median_distance_px(person: PersonMotion, other: PersonMotion) -> float:
    """Between the keypoints of two people, in the frames that both are in."""
    shared = np.intersect1d(person.frames, other.frames)
    own, others = (
        motion.keypoints.xy[np.searchsorted(motion.frames, shared)] for motion in (person, other)
    )
    return float(np.median(np.linalg.norm(own - others, axis=-1)))


def test_sound_that_outlasts_the_pictures_is_no_break(
    images: Images, lift: Callable[..., VideoResult]
) -> None:
    totals = set()

    def report(stage: str, done: int, total: int | None) -> None:
        if stage == "detecting":
            totals.add(total)

    result = lift(showing(images[:30], EVEN[:30], audio_s=4), report=report)
    assert not any("breaks off" in warning for warning in result.warnings)
    assert result.video.frames == 30 and totals == {30}


def test_avi_with_b_frames_gets_even_times(
    images: Images, lift: Callable[..., VideoResult]
) -> None:
    result = lift(showing(images[:30], EVEN[:30], suffix="avi", b_frames=2))
    for person in result.people:
        np.testing.assert_allclose(person.times_s, person.frames / 30, atol=1e-6)
    assert result.people


class Standing:
    """Detects one person, who stands still."""

    name, version, skeleton = "standing", "1", H36M17

    def detect(self, image: NDArray[np.uint8], time_s: float) -> list[Person]:
        xy = np.random.default_rng(0).uniform([20, 10], [40, 46], (17, 2)).astype(np.float32)
        return [Person(xy, np.full(17, 0.9, np.float32))]

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("times", "fps"),
    [
        ([0], 30),
        ([60 * t for t in range(12)], 1 / 60),
        ([t / 1000 for t in range(12)], 1000),
        ([0, *(20 + t / 30 for t in range(11))], 30),
        ([*(t / 30 for t in range(11)), 20], 30),
        ([*(t / 30 for t in range(6)), *(3600 + t / 30 for t in range(6))], 30),
    ],
    ids=["one", "a frame a minute", "1000/s", "pause first", "pause last", "an hour"],
)
def test_extreme_times_give_a_result(
    times: Sequence[float],
    fps: float,
    lift: Callable[..., VideoResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("model.video.pipeline.open_detector", lambda *_: Standing())
    black = np.zeros((48, 64, 3), np.uint8)
    result = lift(showing([black] * len(times), times))
    assert result.video.frames == len(times)
    assert result.video.fps == pytest.approx(fps, rel=0.02)
    assert result.people or any("left out" in warning for warning in result.warnings)
    for person in result.people:
        assert np.isfinite(person.poses.xyz).all()
        assert (np.diff(person.times_s) > 0).all()


def test_sizes_that_alternate_give_a_result(
    lift: Callable[..., VideoResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.video.pipeline.open_detector", lambda *_: Standing())
    black = np.zeros((48, 64, 3), np.uint8)
    parts = [
        showing([black], [n / 30], suffix="mpegts", size=(64, 48) if n % 2 else (128, 96))
        for n in range(8)
    ]
    result = lift(b"".join(parts))
    assert (result.video.width, result.video.height) == (128, 96)


def test_people_seen_too_briefly_are_counted_in_short_films(
    lift: Callable[..., VideoResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Once(Standing):
        def detect(self, image: NDArray[np.uint8], time_s: float) -> list[Person]:
            return super().detect(image, time_s) if time_s == 0 else []

    monkeypatch.setattr("model.video.pipeline.open_detector", lambda *_: Once())
    black = np.zeros((48, 64, 3), np.uint8)
    result = lift(showing([black] * 3, [0, 0.04, 0.08]))
    assert result.people == ()
    assert any(warning.startswith("1 person was left out") for warning in result.warnings)


@settings(max_examples=15, deadline=None)
@given(steps_ms=st.lists(st.integers(20, 60), min_size=20, max_size=40))
def test_any_times_give_the_poses_of_even_times_at_these_times(
    lifter: Lifter, steps_ms: list[int]
) -> None:
    """The same motion, filmed at any rising times and evenly at the same rate."""
    times_s = np.cumsum([0, *steps_ms]) / 1000

    def filmed(at_s: NDArray[np.float64]) -> KeypointSequence:
        rng = np.random.default_rng(4)
        start, phase = rng.uniform(150, 350, (1, 17, 2)), rng.uniform(0, 6, (1, 17, 2))
        xy = start + 15 * np.sin(3 * at_s[:, None, None] + phase)
        return KeypointSequence(xy, np.ones((len(at_s), 17)), (640, 480), 30.0, H36M17)

    def poses(at_s: NDArray[np.float64]) -> NDArray[np.float32]:
        task = lift_motion(lifter, filmed(at_s), MotionOptions(), times_s=at_s, place=False)
        return carry_out(task, lifter.run_pass).poses.xyz

    even_s = np.arange(0, times_s[-1] + 0.1, 1 / frame_rate(times_s, 30))
    columns = poses(even_s).reshape(len(even_s), -1).T
    expected = np.stack([np.interp(times_s, even_s, column) for column in columns], axis=1)
    apart_mm = 1000 * np.linalg.norm(poses(times_s) - expected.reshape(-1, 17, 3), axis=-1)
    assert np.median(apart_mm[3:-3]) < 5
