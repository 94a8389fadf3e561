"""lift_video on a real video, and with a scripted detector on black videos."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from model.detectors.person import Person
from model.errors import InvalidInput, UnknownName
from model.keypoints.joint_sets import COCO17
from model.keypoints.sequences import KeypointSequence, PoseSequence
from model.keypoints.skeleton import H36M17
from model.lifting.lifter import Lifter
from model.lifting.options import LiftOptions
from model.motion.smoothing import smooth
from model.video.options import VideoOptions
from model.video.pipeline import Progress, lift_video
from model.video.reader import open_video
from model.video.results import PersonMotion, VideoResult
from paths import CLIPS

TWO = CLIPS / "two_people.mp4"

Script = Sequence[Sequence[Person]]


@pytest.fixture(scope="module")
def lifter(weights_file: Path) -> Lifter:
    return Lifter.load(weights_file)


@pytest.fixture(scope="module")
def two_people(lifter: Lifter) -> VideoResult:
    return lift_video(TWO, lifter)


def test_both_people_of_a_real_video_are_lifted_in_all_frames(two_people: VideoResult) -> None:
    assert [person.id for person in two_people.people] == [1, 2]
    assert two_people.warnings == (
        "person 1: left and right were swapped back in 12 frames",
        "person 2: left and right were swapped back in 1 frame",
    )
    assert (two_people.video.frames, two_people.video.width) == (75, 854)
    assert two_people.detector == ("mediapipe", "0.10.21")
    for person in two_people.people:
        assert len(person.frames) >= 70
        np.testing.assert_array_equal(person.frames, np.arange(person.frames[0], 75))
        np.testing.assert_allclose(person.times_s, person.frames / 30, atol=1e-6)
        assert person.keypoints.skeleton == H36M17
        assert person.poses.xyz.shape == (len(person.frames), 17, 3)
        assert np.isfinite(person.poses.xyz).all()


def test_poses_equal_lift_and_smooth_of_the_returned_keypoints(
    two_people: VideoResult, lifter: Lifter
) -> None:
    assert two_people.model == (lifter.name, lifter.version)
    assert two_people.applied == {
        "readout": "centre",
        "flip": False,
        "smoothing": "butterworth",
        "constant_limbs": False,
        "min_length": 0.0,
        "detect_every": 1,
        "lift_every": 1,
        "repair": "gaps of up to 0.5 s bridged, left/right swaps undone",
        "focal_px": 854,
        "focal_from": "assumed",
        "space": "root",
        "height_m": lifter.info.height_m,
        "confidence_within_mm": 100.0,
    }
    for person in two_people.people:
        expected = smooth(lifter.lift(person.keypoints), "butterworth")
        np.testing.assert_array_equal(person.poses.xyz, expected.xyz)


def test_swaps_are_repaired_unless_switched_off(two_people: VideoResult, lifter: Lifter) -> None:
    """The detector swaps the man's sides while he raises his arms."""
    as_detected = lift_video(TWO, lifter, VideoOptions(repair=False))
    assert as_detected.applied["repair"] == "gaps of up to 0.5 s bridged"
    assert as_detected.warnings == ()
    sides = [H36M17.index(f"{side}_wrist") for side in ("left", "right")]
    for result, correct_frames in ((two_people, 30), (as_detected, 18)):
        left, right = (result.people[0].keypoints.xy[:30, side, 0] for side in sides)
        assert np.count_nonzero(left > right) == correct_frames


def test_identities_follow_the_standing_man_and_the_walking_woman(
    two_people: VideoResult,
) -> None:
    middles = [person.keypoints.xy[:, H36M17.root] for person in two_people.people]
    man, woman = sorted(middles, key=lambda xy: float(xy[0, 0]))
    assert np.ptp(man[:, 0]) < 120 and 280 < man[:, 0].mean() < 380
    assert woman[0, 0] > 620 and woman[-1, 0] < 370
    assert (man[:, 1] < 200).all() and (woman[:, 1] > 300).all()


class ScriptedDetector:
    """Detects the people of the script, frame by frame."""

    name, version, skeleton = "scripted", "1", COCO17

    def __init__(self, script: Script):
        self.script = list(script)
        self.calls = 0
        self.closed = False

    def detect(self, image: NDArray[np.uint8], time_s: float) -> list[Person]:
        self.calls += 1
        return list(self.script[self.calls - 1])

    def close(self) -> None:
        self.closed = True


def walker(x: float, frame: int = 0) -> Person:
    """A person with COCO keypoints who swings a little."""
    points = np.random.default_rng(5).uniform([-20, -60], [20, 60], (17, 2)) + [x, 100]
    points[9:] += 3 * np.sin(frame / 5)
    return Person(points.astype(np.float32), np.full(17, 0.9, np.float32))


@pytest.fixture
def lift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lifter: Lifter
) -> Callable[..., VideoResult]:
    """Lift a black video of `frames` frames, by default one per entry of the script."""

    def lift(
        script: Script,
        times: Sequence[float] | None = None,
        options: VideoOptions | None = None,
        frames: int | None = None,
        progress: Progress | None = None,
    ) -> VideoResult:
        detector = ScriptedDetector(script)

        def open_scripted(name: str, max_people: int, device: str) -> ScriptedDetector:
            assert name == "mediapipe"
            return detector

        monkeypatch.setattr("model.video.pipeline.open_detector", open_scripted)
        path = tmp_path / "video.mkv"
        frames = frames or len(script)
        write_video(path, [t / 25 for t in range(frames)] if times is None else times)
        try:
            return lift_video(path, lifter, options, progress)
        finally:
            assert detector.closed

    return lift


def write_video(path: Path, times: Sequence[float]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.zeros((240, 320, 3), np.uint8))
            frame.time_base, frame.pts = Fraction(1, 1000), round(time * 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


Lift = Callable[..., VideoResult]


def assert_no_thread_left() -> None:
    assert [t for t in threading.enumerate() if t.name.startswith("read-ahead")] == []


def test_short_gap_is_bridged_and_listed(lift: Lift, lifter: Lifter) -> None:
    script = [[] if 20 <= t < 28 else [walker(100 + t, t)] for t in range(50)]
    (person,) = lift(script).people
    np.testing.assert_array_equal(person.frames, np.arange(50))
    np.testing.assert_array_equal(person.bridged, np.arange(20, 28))
    before, after = (person.keypoints.rows[t].astype(np.float64) for t in (19, 28))
    for t in (20, 24, 27):
        between = before + (t - 19) / 9 * (after - before)
        np.testing.assert_allclose(person.keypoints.rows[t], between, atol=1e-3)
    expected = smooth(lifter.lift(person.keypoints), "butterworth")
    np.testing.assert_array_equal(person.poses.xyz, expected.xyz)


def test_runs_between_long_gaps_are_lifted_separately(lift: Lift, lifter: Lifter) -> None:
    script = [[] if 20 <= t < 38 else [walker(100 + t, t)] for t in range(60)]
    (person,) = lift(script).people
    np.testing.assert_array_equal(person.frames, [*range(20), *range(38, 60)])
    for rows in np.split(np.arange(42), [20]):
        expected = smooth(lifter.lift(person.keypoints.pick(rows)), "butterworth")
        np.testing.assert_array_equal(person.poses.xyz[rows], expected.xyz)


def test_people_together_equal_each_alone(lift: Lift) -> None:
    first = [walker(60 + t, t) for t in range(40)]
    second = [walker(280 - t, t + 3) for t in range(40)]
    together = lift([list(pair) for pair in zip(first, second, strict=True)]).people
    for person, alone in zip(together, (first, second), strict=True):
        (expected,) = lift([[detection] for detection in alone]).people
        np.testing.assert_array_equal(person.poses.xyz, expected.poses.xyz)
        np.testing.assert_array_equal(person.keypoints.xy, expected.keypoints.xy)


def test_options_are_passed_to_the_lifter_and_the_filter(lift: Lift, lifter: Lifter) -> None:
    options = VideoOptions(
        smoothing="gaussian", readout="dense", flip=True, focal_px=700, height_m=1.9
    )
    result = lift([[walker(100 + t, t)] for t in range(30)], options=options)
    lifted = lifter.lift(result.people[0].keypoints, LiftOptions("dense", True, 700, 1.9))
    np.testing.assert_array_equal(result.people[0].poses.xyz, smooth(lifted, "gaussian").xyz)
    assert {"focal_px": 700, "height_m": 1.9, "readout": "dense"}.items() <= result.applied.items()
    plain = lift([[walker(100)]] * 5, options=VideoOptions(smoothing="none")).people[0]
    np.testing.assert_array_equal(plain.poses.xyz, lifter.lift(plain.keypoints).xyz)


def test_video_without_people_has_a_result(lift: Lift) -> None:
    result = lift([[]] * 10)
    assert result.people == () and result.warnings == ("nobody was found",)
    assert result.video.frames == 10


def test_video_of_one_frame_has_one_pose(lift: Lift) -> None:
    (person,) = lift([[walker(100)]]).people
    assert person.frames.tolist() == [0] and person.poses.xyz.shape == (1, 17, 3)


def test_uneven_times_are_kept_with_a_warning(lift: Lift) -> None:
    times = np.cumsum([0, *([0.02, 0.06] * 15)])
    result = lift([[walker(100, t)] for t in range(31)], times=times.tolist())
    np.testing.assert_allclose(result.people[0].times_s, times, atol=1e-3)
    assert result.video.fps == pytest.approx(38.2, abs=0.1)  # by the regular steps
    assert any("unevenly spaced" in warning for warning in result.warnings)


def test_gap_length_is_measured_in_time_not_in_frames(lift: Lift) -> None:
    script = [[] if t in (10, 11) else [walker(100, t)] for t in range(22)]
    (even,) = lift(script).people
    assert even.frames.tolist() == list(range(22))
    slow = [0.1 * t if t > 9 else 0.04 * t for t in range(22)]
    (person,) = lift(script, times=slow).people
    assert person.frames.tolist() == [*range(10), *range(12, 22)]


@pytest.mark.parametrize(
    ("fps", "warned", "stride"), [(5, True, 1), (23.98, False, 1), (60, False, 1), (240, True, 4)]
)
def test_frame_rates_outside_training_are_warned_about(
    lift: Lift, fps: float, warned: bool, stride: int
) -> None:
    result = lift([[walker(100)]] * 22, times=[t / fps for t in range(22)])
    warnings = [warning for warning in result.warnings if "trained for" in warning]
    assert len(warnings) == warned
    assert any(f"one frame in {stride} " in warning for warning in warnings) == (stride > 1)
    assert result.applied["lift_every"] == stride
    assert len(result.people[0].poses) == 22


def test_keypoints_between_detected_frames_are_interpolated(lift: Lift, lifter: Lifter) -> None:
    script = [[walker(60 + 2 * t), walker(280 - t)] for t in range(32)]
    detected = [*range(0, 32, 5), 31]
    plain = VideoOptions(smoothing="none", detect_every=5)
    every_frame = lift(script, options=replace(plain, detect_every=1)).people
    result = lift([script[t] for t in detected], options=plain, frames=32)
    assert result.applied["detect_every"] == 5
    for person, expected in zip(result.people, every_frame, strict=True):
        np.testing.assert_array_equal(person.frames, np.arange(32))
        np.testing.assert_allclose(person.keypoints.xy, expected.keypoints.xy, atol=1e-3)
        np.testing.assert_allclose(person.poses.xyz, expected.poses.xyz, atol=1e-3)


def test_person_missed_in_a_detected_frame_is_bridged_to_the_next(lift: Lift) -> None:
    script = [[] if t == 12 else [walker(100 + t, t)] for t in range(0, 25, 3)]
    (person,) = lift(script, options=VideoOptions(detect_every=3), frames=25).people
    np.testing.assert_array_equal(person.frames, np.arange(25))
    np.testing.assert_array_equal(person.bridged, np.arange(10, 15))


def test_people_above_max_people_are_warned_about(lift: Lift) -> None:
    script = [[walker(60, t), walker(160, t), walker(260, t)] for t in range(20)]
    result = lift(script, options=VideoOptions(max_people=2))
    assert [person.id for person in result.people] == [1, 2]
    assert any("more than 2 people" in warning for warning in result.warnings)
    assert lift(script, options=VideoOptions(max_people=3)).warnings == ()


def test_people_shorter_than_min_length_are_removed_with_a_warning(lift: Lift) -> None:
    def second_person(frames: int) -> list[list[Person]]:
        return [[walker(60, t)] + [walker(260, t)] * (t < frames) for t in range(40)]

    brief = lift(second_person(3))
    assert [person.id for person in brief.people] == [1]
    assert brief.warnings == ("1 person was left out: detected in too few frames to be certain",)
    assert len(lift(second_person(15)).people) == 2
    result = lift(second_person(15), options=VideoOptions(min_length=0.7))
    (removed,) = {1, 2} - {person.id for person in result.people}
    assert result.warnings == (
        f"person {removed}, detected for 0.60 s, was left out: less than min_length",
    )
    assert result.applied["min_length"] == 0.7
    assert len(lift(second_person(15)[:10], options=VideoOptions(min_length=0.7)).people) == 2


def test_outliers_are_corrected_and_limbs_kept_constant_on_request(lift: Lift) -> None:
    script = [[walker(100 + t, t)] for t in range(40)]
    expected = lift(script).people[0].keypoints
    script[20][0].xy[9] += 40
    options = VideoOptions(remove_outliers=True, constant_limbs=True, smoothing="none")
    result = lift(script, options=options)
    (person,) = result.people
    assert result.warnings == ("person 1: 1 outlying keypoint corrected",)
    assert result.applied["constant_limbs"] and "outliers removed" in str(result.applied["repair"])
    np.testing.assert_allclose(person.keypoints.xy, expected.xy, atol=2)
    parents, children = np.array(H36M17.bones).T
    lengths = np.linalg.norm(person.poses.xyz[:, children] - person.poses.xyz[:, parents], axis=-1)
    np.testing.assert_allclose(lengths, lengths[:1].repeat(40, axis=0), atol=1e-6)


def test_keypoints_beyond_the_coordinate_limit_are_unseen(lift: Lift) -> None:
    far = walker(100)
    far.xy[9] = [3e6, 0]
    (person,) = lift([[far]] * 10).people
    wrist = H36M17.index("left_wrist")
    assert (person.keypoints.confidence[:, wrist] == 0).all()


def test_progress_reports_detected_then_lifted_frames(lift: Lift) -> None:
    reports: list[tuple[str, int, int | None]] = []
    lift([[walker(100, t)] for t in range(12)], progress=lambda *report: reports.append(report))
    assert reports == [
        *(("detecting", done, max(12, done)) for done in range(1, 13)),
        ("lifting", 12, 12),
    ]


@pytest.mark.parametrize("stage", ["detecting", "lifting"])
def test_exception_of_progress_stops_the_work(lift: Lift, stage: str) -> None:
    def stop(current: str, done: int, total: int | None) -> None:
        if current == stage:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        lift([[walker(100)]] * 12, progress=stop)
    assert_no_thread_left()


def test_detector_error_is_raised_and_leaves_no_thread(lift: Lift) -> None:
    with pytest.raises(IndexError):
        lift([[walker(100)]] * 3, frames=40)
    assert_no_thread_left()


def test_truncated_video_is_lifted_up_to_its_end(
    tmp_path: Path, lifter: Lifter, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = ScriptedDetector([[walker(100, t)] for t in range(75)])
    monkeypatch.setattr("model.video.pipeline.open_detector", lambda *_: detector)
    content = TWO.read_bytes()
    path = tmp_path / "part.mp4"
    path.write_bytes(content[: len(content) * 3 // 4])
    with open_video(path) as video:
        readable = len(list(video.frames()))
    result = lift_video(path, lifter)
    assert result.video.frames == readable == len(result.people[0].frames)
    assert any("breaks off" in warning for warning in result.warnings)


def test_row_of_a_frame_is_none_while_the_person_is_absent() -> None:
    frames = np.array([2, 3, 9])
    poses = PoseSequence(np.zeros((3, 17, 3), np.float32), 25)
    keypoints = KeypointSequence(np.zeros((3, 17, 2)), np.ones((3, 17)), (320, 240), 25, H36M17)
    person = PersonMotion(1, frames, frames / 25, keypoints, poses, poses.xyz[:, 0])
    assert [person.row(frame) for frame in (0, 2, 3, 4, 9, 10)] == [None, 0, 1, None, 2, None]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"detector": "openpose"}, UnknownName, "known: mediapipe"),
        ({"smoothing": "kalman"}, UnknownName, "butterworth"),
        ({"max_people": 0}, InvalidInput, "max_people"),
        ({"max_people": 17}, InvalidInput, "max_people"),
        ({"min_length": -0.1}, InvalidInput, "min_length must be 0 or more"),
        ({"min_length": float("nan")}, InvalidInput, "min_length"),
        ({"detect_every": 0}, InvalidInput, "detect_every must be between 1 and 30, got 0"),
        ({"detect_every": 31}, InvalidInput, "detect_every"),
        ({"readout": "middle"}, InvalidInput, "readout"),
        ({"focal_px": -1}, InvalidInput, "focal_px"),
        ({"height_m": 17}, InvalidInput, "height_m"),
    ],
)
def test_options_outside_their_limits_are_rejected(
    options: dict[str, object], error: type[InvalidInput], message: str
) -> None:
    with pytest.raises(error, match=message):
        VideoOptions(**options)  # type: ignore[arg-type]
