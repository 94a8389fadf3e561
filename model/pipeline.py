"""A video file -> everybody's 3D poses: frames, detector, tracker, lifter, filter, in this order.

A picture is let go as soon as the detector has seen it; what is kept are keypoints.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.detectors import Detector, open_detector
from model.detectors.names import read_name
from model.errors import InvalidInput, UnknownName
from model.frames import Video, VideoInfo, open_video
from model.lifter import Lifter, LiftOptions
from model.long_lifting import lift_run
from model.read_ahead import read_ahead
from model.repair import undo_swaps
from model.sequences import Float32, KeypointSequence, PoseSequence
from model.sightings import MAX_BRIDGED_S, Frames, Track, fill, split_at_gaps
from model.skeleton import H36M17
from model.smoothing import SMOOTHINGS, smooth
from model.tracker import Tracker

MAX_PEOPLE = 16
MAX_DETECT_EVERY = 30
PICTURES_AHEAD = 2
"""Decoded while the detector works; each may be large, and one is enough where its time is even."""
UNEVEN = 0.25
"""Frames are unevenly spaced when their steps spread by more than this share of the mean."""

Progress = Callable[[str, int, int | None], None]
"""Called with the stage (detecting, lifting, drawing), the frames done, and how many there are
where that is known. A frame is lifted once for each person in it."""


@dataclass(frozen=True)
class VideoOptions:
    """How a video is worked on; the last four are LiftOptions'. Raises InvalidInput.

    detect_every: the detector looks at every n-th frame and the last; between them keypoints move
    on straight lines in time. repair: exchange left and right back where the detector took one for
    the other.
    """

    detector: str = "mediapipe"
    max_people: int = 4
    smoothing: str = "butterworth"
    detect_every: int = 1
    repair: bool = True
    readout: str = "centre"
    flip: bool = False
    focal_px: float | None = None
    height_m: float | None = None

    def __post_init__(self) -> None:
        read_name(self.detector)
        if self.smoothing not in SMOOTHINGS:
            raise UnknownName("smoothing", self.smoothing, SMOOTHINGS)
        if not 1 <= self.max_people <= MAX_PEOPLE:
            raise InvalidInput(
                f"max_people lies in 1..{MAX_PEOPLE}, got {self.max_people}", ("max_people",)
            )
        if not 1 <= self.detect_every <= MAX_DETECT_EVERY:
            raise InvalidInput(
                f"detect_every lies in 1..{MAX_DETECT_EVERY}, got {self.detect_every}",
                ("detect_every",),
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
    """The people of a video, as the tracker tells them apart, and what was read of it."""

    info: VideoInfo
    times_s: NDArray[np.float64]
    tracks: dict[int, Track]
    crowded: bool
    repaired: dict[int, int] = field(default_factory=dict)  # id -> frames


def lift_video(
    path: Path,
    lifter: Lifter,
    options: VideoOptions | None = None,
    progress: Progress | None = None,
) -> VideoResult:
    """The 3D poses of everybody in a video; nobody in it is an answer, too.

    Decoding runs in a thread of its own, beside the detector. Lifting waits for the end: the true
    frame rate, by which it chooses frames and filters, is known only then, and it takes a few
    hundredths of the detector's time. Raises NotAVideo, UnreadableVideo, TooLarge,
    DetectorUnavailable, InvalidInput, and what `progress` raises, which ends the work.
    """
    options = options or VideoOptions()
    tell = progress or _tell_nobody
    lifter.check(options.lift_options())
    # one place more than asked for shows that there were more people
    places = options.max_people + (options.max_people > 1)
    with (
        open_video(path) as video,
        closing(open_detector(options.detector, places, lifter.device)) as detector,
    ):
        seen = _watch(video, detector, options, tell)
    return VideoResult(
        video=seen.info,
        detector=(detector.name, detector.version),
        model=(lifter.name, lifter.version),
        people=tuple(_lift_people(seen, lifter, options, tell)),
        warnings=(*video.warnings, *_warnings(seen, lifter, options)),
        applied=_applied(seen.info, lifter, options),
    )


def _tell_nobody(stage: str, done: int, total: int | None) -> None: ...


def _watch(video: Video, detector: Detector, options: VideoOptions, tell: Progress) -> _Seen:
    """Detect and track, picture by picture, while the next ones are decoded."""
    every = options.detect_every
    tracker = Tracker(video.info.fps / every, options.max_people)
    tracks: defaultdict[int, Track] = defaultdict(lambda: Track(detector.skeleton))
    looks = array("q")
    with read_ahead(video.frames(every), PICTURES_AHEAD) as frames:
        for frame in frames:
            looks.append(frame.index)
            for id, person in tracker.update(detector.detect(frame.image, frame.time_s)):
                tracks[id].add(frame.index, person)
            for earlier in tracker.recovered:
                tracks[earlier.id].add(looks[earlier.frame], earlier.person)
            done = frame.index + 1
            tell("detecting", done, max(video.info.frames, done) if video.info.frames else None)
    for sighting in tracker.finish():
        tracks[sighting.id].add(looks[sighting.frame], sighting.person)
    return _Seen(video.read_info, np.array(video.times_s), tracks, tracker.crowded)


def _lift_people(
    seen: _Seen, lifter: Lifter, options: VideoOptions, tell: Progress
) -> Iterator[PersonMotion]:
    runs = {
        id: split_at_gaps(track.frames(), seen.times_s, options.detect_every)
        for id, track in sorted(seen.tracks.items())
    }
    total = sum(len(run) for mine in runs.values() for run in mine)
    done = 0

    def lifted(count: int) -> None:
        nonlocal done
        done = min(done + count, total)
        tell("lifting", done, total)

    def lift(run: KeypointSequence) -> PoseSequence:
        return smooth(lift_run(lifter, run, options.lift_options(), lifted), options.smoothing)

    for id, mine in runs.items():
        keypoints = _keypoints(id, mine, seen, options)
        yield _motion(id, mine, keypoints, seen.times_s, lift)


def _motion(
    id: int,
    runs: list[Frames],
    keypoints: KeypointSequence,
    times_s: NDArray[np.float64],
    lift: Callable[[KeypointSequence], PoseSequence],
) -> PersonMotion:
    frames = np.concatenate(runs)
    parts = np.split(np.arange(len(frames)), np.cumsum([len(run) for run in runs])[:-1])
    xyz = np.concatenate([lift(keypoints.pick(part)).xyz for part in parts])
    poses = PoseSequence(xyz, keypoints.fps)
    return PersonMotion(id, frames, times_s[frames], keypoints, poses)


def _keypoints(id: int, runs: list[Frames], seen: _Seen, options: VideoOptions) -> KeypointSequence:
    frames, found = seen.tracks[id].sightings()
    if options.repair:
        swapped = np.zeros((len(frames), 2), bool)
        for run in runs:
            inside = slice(*np.searchsorted(frames, [run[0], run[-1] + 1]))
            found[inside], swapped[inside] = _repaired(found[inside], seen.info)
        seen.repaired[id] = int(swapped.any(axis=1).sum())
    every = options.detect_every
    rows = np.concatenate([fill(run, frames, found, seen.times_s, every) for run in runs])
    return _sequence(rows, seen.info)


def _repaired(rows: Float32, info: VideoInfo) -> tuple[Float32, NDArray[np.bool_]]:
    """Rows (n, 17, 3) with left and right put right, and where (legs, arms) were not: (n, 2)."""
    repaired, swapped = undo_swaps(_sequence(rows, info))
    return np.concatenate([repaired.xy, repaired.confidence[..., None]], axis=-1), swapped


def _sequence(rows: Float32, info: VideoInfo) -> KeypointSequence:
    return KeypointSequence(
        rows[..., :2], rows[..., 2], (info.width, info.height), info.fps, H36M17
    )


def _warnings(seen: _Seen, lifter: Lifter, options: VideoOptions) -> list[str]:
    warnings, info = [], seen.info
    if not lifter.info.covers(info.fps):
        low, high = lifter.info.fps
        stride = lifter.info.stride(info.fps)
        thinned = f"; one frame in {stride} was lifted, the others lie between" * (stride > 1)
        warnings.append(
            f"the model was trained for {low:g}-{high:g} frames/s, this video has {info.fps:.4g}"
            + thinned
        )
    steps_s = np.diff(seen.times_s)
    if len(steps_s) and steps_s.std() > UNEVEN * steps_s.mean():
        warnings.append("the frames are unevenly spaced in time; they were lifted as if even")
    if seen.crowded:
        warnings.append(
            f"more than {options.max_people} people are seen at a time; the rest was left out"
        )
    for id, frames in seen.repaired.items():
        if frames:
            word = "frame" if frames == 1 else "frames"
            warnings.append(f"person {id}: left and right were exchanged back in {frames} {word}")
    return warnings


def _applied(info: VideoInfo, lifter: Lifter, options: VideoOptions) -> dict[str, object]:
    assumed_px = max(info.width, info.height) if lifter.info.normalisation == "person" else None
    return {
        "readout": options.readout,
        "flip": options.flip,
        "smoothing": options.smoothing,
        "detect_every": options.detect_every,
        "lift_every": lifter.info.stride(info.fps),
        "repair": f"gaps of up to {MAX_BRIDGED_S:g} s bridged"
        + ", left/right swaps undone" * options.repair,
        "focal_px": assumed_px if options.focal_px is None else options.focal_px,
        "height_m": lifter.info.height_m if options.height_m is None else options.height_m,
    }
