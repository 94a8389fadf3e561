"""A video file -> everybody's 3D poses: frames, detector, tracker, lifter, filter, in this order.

A picture is let go as soon as the detector has seen it; what is kept are keypoints.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.detectors import DETECTORS, Detector, Person, open_detector
from model.errors import InvalidInput, UnknownName
from model.frames import Video, VideoInfo, open_video
from model.lifter import Lifter, LiftOptions
from model.sequences import MAX_COORDINATE_PX, KeypointSequence, PoseSequence
from model.skeleton import Skeleton
from model.smoothing import SMOOTHINGS, smooth
from model.tracker import Tracker

MAX_PEOPLE = 16
MAX_BRIDGED_S = 0.5
"""A person away for longer is lifted in two parts, before and after."""
UNEVEN = 0.25
"""Frames are unevenly spaced when their steps spread by more than this share of the mean."""

Progress = Callable[[int, int | None], None]
"""Called with the frames done and, where it is known, how many there are."""


@dataclass(frozen=True)
class VideoOptions:
    """How a video is worked on; the last four are LiftOptions'. Raises InvalidInput."""

    detector: str = "mediapipe"
    max_people: int = 4
    smoothing: str = "butterworth"
    readout: str = "centre"
    flip: bool = False
    focal_px: float | None = None
    height_m: float | None = None

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise UnknownName("detector", self.detector, DETECTORS)
        if self.smoothing not in SMOOTHINGS:
            raise UnknownName("smoothing", self.smoothing, SMOOTHINGS)
        if not 1 <= self.max_people <= MAX_PEOPLE:
            raise InvalidInput(
                f"max_people lies in 1..{MAX_PEOPLE}, got {self.max_people}", ("max_people",)
            )
        self.lift_options()

    def lift_options(self) -> LiftOptions:
        return LiftOptions(self.readout, self.flip, self.focal_px, self.height_m)


@dataclass(frozen=True)
class PersonMotion:
    """One person, over the n frames in which they were seen or bridged.

    frames (n,) int64 from 0 in the video; times_s (n,) float64 from its first frame; keypoints and
    poses are n frames of H36M-17. Where frames do not follow each other, the person was away.
    """

    id: int
    frames: NDArray[np.int64]
    times_s: NDArray[np.float64]
    keypoints: KeypointSequence
    poses: PoseSequence

    def row(self, frame: int) -> int | None:
        """Which of the n frames is this one of the video; None while the person is away."""
        row = int(np.searchsorted(self.frames, frame))
        return row if row < len(self.frames) and self.frames[row] == frame else None


@dataclass(frozen=True)
class VideoResult:
    """What was found in a video, and how.

    video is what was really read; detector and model are (name, version); applied are the options,
    and what stood in for those not given.
    """

    video: VideoInfo
    detector: tuple[str, str]
    model: tuple[str, str]
    people: tuple[PersonMotion, ...]
    warnings: tuple[str, ...]
    applied: Mapping[str, object]


@dataclass
class _Seen:
    """The people of a video, as the tracker tells them apart: id -> frame -> person."""

    times_s: list[float] = field(default_factory=list)
    people: dict[int, dict[int, Person]] = field(default_factory=dict)
    crowded: bool = False

    def add(self, id: int, frame: int, person: Person) -> None:
        self.people.setdefault(id, {})[frame] = person


def lift_video(
    path: Path,
    lifter: Lifter,
    options: VideoOptions | None = None,
    progress: Progress | None = None,
) -> VideoResult:
    """The 3D poses of everybody in a video; nobody in it is an answer, too.

    Raises NotAVideo, UnreadableVideo, TooLarge, DetectorUnavailable, InvalidInput.
    """
    options = options or VideoOptions()
    lifter.check(options.lift_options())
    # one place more than asked for shows that there were more people
    places = options.max_people + (options.max_people > 1)
    with open_video(path) as video, closing(open_detector(options.detector, places)) as detector:
        seen = _watch(video, detector, options.max_people, progress)
        info = video.read_info
    people = [
        _lift_person(id, seen, detector.skeleton, info, lifter, options) for id in seen.people
    ]
    return VideoResult(
        video=info,
        detector=(detector.name, detector.version),
        model=(lifter.name, lifter.version),
        people=tuple(sorted(people, key=lambda person: person.id)),
        warnings=(*video.warnings, *_warnings(seen, info, lifter, options)),
        applied=_applied(info, lifter, options),
    )


def _watch(video: Video, detector: Detector, max_people: int, progress: Progress | None) -> _Seen:
    """Detect and track, frame by frame."""
    seen = _Seen()
    tracker = Tracker(video.info.fps, max_people)
    for frame in video.frames():
        seen.times_s.append(frame.time_s)
        for id, person in tracker.update(detector.detect(frame.image, frame.time_s)):
            seen.add(id, frame.index, person)
        for earlier in tracker.recovered:
            seen.add(earlier.id, earlier.frame, earlier.person)
        if progress:
            total = max(video.info.frames, frame.index + 1) if video.info.frames else None
            progress(frame.index + 1, total)
    for sighting in tracker.finish():
        seen.add(sighting.id, sighting.frame, sighting.person)
    seen.crowded = tracker.crowded
    return seen


def _lift_person(
    id: int,
    seen: _Seen,
    skeleton: Skeleton,
    info: VideoInfo,
    lifter: Lifter,
    options: VideoOptions,
) -> PersonMotion:
    sightings = seen.people[id]
    times_s = np.array(seen.times_s)
    parts = split_at_gaps(sorted(sightings), times_s)
    keypoints = [_keypoints(part, sightings, skeleton, info).to_h36m17() for part in parts]
    poses = [
        smooth(lifter.lift(part, options.lift_options()), options.smoothing) for part in keypoints
    ]
    frames = np.concatenate(parts)
    return PersonMotion(id, frames, times_s[frames], _joined(keypoints), _joined_poses(poses))


def split_at_gaps(frames: Sequence[int], times_s: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Frames in which a person was seen -> runs of frames, short gaps filled, split at long ones;
    times_s are those of all the video's frames."""
    seen = np.array(frames, np.int64)
    away = np.diff(times_s[seen]) > MAX_BRIDGED_S
    away &= np.diff(seen) > 1
    runs = np.split(seen, np.flatnonzero(away) + 1)
    return [np.arange(run[0], run[-1] + 1) for run in runs]


def _keypoints(
    frames: NDArray[np.int64], sightings: Mapping[int, Person], skeleton: Skeleton, info: VideoInfo
) -> KeypointSequence:
    """What was seen in these frames; score 0 where nothing was, or nothing that can be meant."""
    joints = len(skeleton.joints)
    xy = np.zeros((len(frames), joints, 2), np.float32)
    score = np.zeros((len(frames), joints), np.float32)
    for row, frame in enumerate(frames):
        if person := sightings.get(int(frame)):
            xy[row], score[row] = person.xy, person.score
    score[np.abs(xy).max(axis=-1) > MAX_COORDINATE_PX] = 0
    return KeypointSequence(xy, score, (info.width, info.height), info.fps, skeleton)


def _joined(parts: Sequence[KeypointSequence]) -> KeypointSequence:
    xy = np.concatenate([part.xy for part in parts])
    return replace(parts[0], xy=xy, confidence=np.concatenate([part.confidence for part in parts]))


def _joined_poses(parts: Sequence[PoseSequence]) -> PoseSequence:
    return replace(parts[0], xyz=np.concatenate([part.xyz for part in parts]))


def _warnings(seen: _Seen, info: VideoInfo, lifter: Lifter, options: VideoOptions) -> list[str]:
    warnings = []
    if not lifter.info.covers(info.fps):
        low, high = lifter.info.fps
        warnings.append(
            f"the model was trained for {low:g}-{high:g} frames/s, this video has {info.fps:.4g}"
        )
    steps_s = np.diff(seen.times_s)
    if len(steps_s) and steps_s.std() > UNEVEN * steps_s.mean():
        warnings.append("the frames are unevenly spaced in time; they were lifted as if even")
    if seen.crowded:
        warnings.append(
            f"more than {options.max_people} people are seen at a time; the rest was left out"
        )
    return warnings


def _applied(info: VideoInfo, lifter: Lifter, options: VideoOptions) -> dict[str, object]:
    assumed_px = max(info.width, info.height) if lifter.info.normalisation == "person" else None
    return {
        "readout": options.readout,
        "flip": options.flip,
        "smoothing": options.smoothing,
        "repair": f"gaps of up to {MAX_BRIDGED_S:g} s bridged",
        "focal_px": assumed_px if options.focal_px is None else options.focal_px,
        "height_m": lifter.info.height_m if options.height_m is None else options.height_m,
    }
