"""A video file -> everybody's 3D poses: frames, detector, tracker, lifter, filter, in this order.

A picture is let go as soon as the detector has seen it; what is kept are keypoints.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.detectors.opening import Detector, open_detector
from model.keypoints.sequences import Float32, KeypointSequence, PoseSequence
from model.lifting.lifter import Lifter
from model.lifting.root import focal_or_assumed, root_track
from model.lifting.runs import lift_run
from model.motion.limbs import constant_limbs
from model.motion.smoothing import smooth
from model.motion.steadiness import spread
from model.motion.world import room_of
from model.tracking.cleaning import Cleaned, Film, clean
from model.tracking.tracker import Tracker
from model.tracking.tracks import MAX_BRIDGED_S, Frames, Track, leave_out_brief, split_at_gaps
from model.video.options import VideoOptions
from model.video.read_ahead import read_ahead
from model.video.reader import Video, VideoInfo, open_video
from model.video.results import PersonMotion, VideoResult

PICTURES_AHEAD = 2
"""Decoded while the detector works; each may be large, and one is enough where its time is even."""
UNEVEN = 0.25
"""Frames are unevenly spaced when their steps spread by more than this share of the mean."""

STILL_S = 1.0
STILL_SPREAD = 0.004
"""Who keeps to this share of their size for that long does not sway as people do, see `spread`."""

Progress = Callable[[str, int, int | None], None]
"""Called with the stage (detecting, lifting, drawing), the frames done, and how many there are
where that is known. A frame is lifted once for each person in it."""


@dataclass
class _Seen:
    """The people of a video, as the tracker tells them apart, and what was read of it."""

    film: Film
    tracks: dict[int, Track]
    crowded: bool
    unsure: int
    brief_s: dict[int, float]  # those left out: id -> for how long they were seen
    cleaned: dict[int, Cleaned] = field(default_factory=dict)


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
    focal_from = "assumed" if options.focal_px is None else "given"
    if options.focal_px is None and video.focal_px is not None:
        options, focal_from = replace(options, focal_px=video.focal_px), "file"
    people = tuple(_lift_people(seen, lifter, options, tell))
    result = VideoResult(
        video=seen.film.info,
        detector=(detector.name, detector.version),
        model=(lifter.name, lifter.version),
        people=people,
        warnings=(*video.warnings, *_warnings(seen, lifter, options)),
        applied={**_applied(seen.film.info, lifter, options), "focal_from": focal_from},
        room=room_of([(one.poses, one.root) for one in people]) if people else None,
    )
    return result.in_space(options.space)


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
    film = Film(video.read_info, np.array(video.times_s), every)
    brief_s = leave_out_brief(tracks, options.min_length, every / film.info.fps, len(looks))
    return _Seen(film, tracks, tracker.crowded, tracker.unsure, brief_s)


def _lift_people(
    seen: _Seen, lifter: Lifter, options: VideoOptions, tell: Progress
) -> Iterator[PersonMotion]:
    film = seen.film
    runs = {
        id: split_at_gaps(track.frames(), film.times_s, film.every)
        for id, track in sorted(seen.tracks.items())
    }
    total = sum(len(run) for mine in runs.values() for run in mine)
    done = 0

    def lifted(count: int) -> None:
        nonlocal done
        done = min(done + count, total)
        tell("lifting", done, total)

    def lift(run: KeypointSequence) -> tuple[PoseSequence, Float32 | None]:
        poses = lift_run(lifter, run, options.lift_options(), lifted)
        confidence = lifter.confidence(run, poses, options.lift_options())
        return smooth(poses, options.smoothing), confidence

    for id, mine in runs.items():
        cleaned = seen.cleaned[id] = clean(
            seen.tracks[id],
            mine,
            film,
            repair=options.repair,
            remove_outliers=options.remove_outliers,
        )
        poses, confidence = _poses(mine, cleaned.keypoints, lift)
        if options.constant_limbs:
            poses = constant_limbs(poses)
        root = _roots(mine, cleaned.keypoints, poses, _focal_px(film.info, options))
        frames = np.concatenate(mine)
        yield PersonMotion(
            id,
            frames,
            film.times_s[frames],
            cleaned.keypoints,
            poses,
            root,
            bridged=cleaned.bridged,
            confidence=confidence,
        )


def _poses(
    runs: list[Frames],
    keypoints: KeypointSequence,
    lift: Callable[[KeypointSequence], tuple[PoseSequence, Float32 | None]],
) -> tuple[PoseSequence, Float32 | None]:
    """Each run lifted for itself, and how sure its joints are."""
    found = [lift(keypoints.pick(rows)) for rows in _rows(runs)]
    poses = PoseSequence(np.concatenate([one.xyz for one, _ in found]), keypoints.fps)
    sure = [confidence for _, confidence in found if confidence is not None]
    return poses, np.concatenate(sure) if sure else None


def _roots(
    runs: list[Frames], keypoints: KeypointSequence, poses: PoseSequence, focal_px: float
) -> Float32:
    """Where the person is in front of the camera, each run for itself: (n, 3) m."""
    return np.concatenate(
        [
            root_track(replace(poses, xyz=poses.xyz[rows]), keypoints.pick(rows), focal_px)
            for rows in _rows(runs)
        ]
    )


def _rows(runs: list[Frames]) -> list[NDArray[np.int64]]:
    """Which of a person's n frames are those of each run."""
    ends = np.cumsum([len(run) for run in runs])
    return np.split(np.arange(ends[-1]), ends[:-1])


def _focal_px(info: VideoInfo, options: VideoOptions) -> float:
    return focal_or_assumed(options.focal_px, (info.width, info.height))


def _warnings(seen: _Seen, lifter: Lifter, options: VideoOptions) -> list[str]:
    warnings, info = [], seen.film.info
    if not lifter.info.covers(info.fps):
        low, high = lifter.info.fps
        stride = lifter.info.stride(info.fps)
        thinned = f"; one frame in {stride} was lifted, the others lie between" * (stride > 1)
        warnings.append(
            f"the model was trained for {low:g}-{high:g} frames/s, this video has {info.fps:.4g}"
            + thinned
        )
    steps_s = np.diff(seen.film.times_s)
    if len(steps_s) and steps_s.std() > UNEVEN * steps_s.mean():
        warnings.append("the frames are unevenly spaced in time; they were lifted as if even")
    if seen.crowded:
        warnings.append(
            f"more than {options.max_people} people are seen at a time; the rest was left out"
        )
    if seen.unsure:
        people = "1 person was" if seen.unsure == 1 else f"{seen.unsure} people were"
        warnings.append(f"{people} left out: seen for fewer frames than it takes to be sure")
    warnings += [
        f"person {id}, seen for {seconds:.2f} s, was left out: less than min_length"
        for id, seconds in seen.brief_s.items()
    ]
    for id, cleaned in seen.cleaned.items():
        if _is_still(cleaned):
            warnings.append(f"person {id} does not move at all: perhaps a picture of a person")
        if cleaned.swapped:
            frames = _counted(cleaned.swapped, "frame")
            warnings.append(f"person {id}: left and right were exchanged back in {frames}")
        if cleaned.outliers:
            keypoints = _counted(cleaned.outliers, "outlying keypoint")
            warnings.append(f"person {id}: put back {keypoints}")
    return warnings


def _is_still(cleaned: Cleaned) -> bool:
    keypoints = cleaned.keypoints
    long_enough = len(keypoints) - len(cleaned.bridged) >= STILL_S * keypoints.fps
    return long_enough and spread(keypoints) < STILL_SPREAD


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _applied(info: VideoInfo, lifter: Lifter, options: VideoOptions) -> dict[str, object]:
    return {
        "readout": options.readout,
        "flip": options.flip,
        "smoothing": options.smoothing,
        "constant_limbs": options.constant_limbs,
        "min_length": options.min_length,
        "detect_every": options.detect_every,
        "lift_every": lifter.info.stride(info.fps),
        "repair": f"gaps of up to {MAX_BRIDGED_S:g} s bridged"
        + ", left/right swaps undone" * options.repair
        + ", outliers removed" * options.remove_outliers,
        "focal_px": _focal_px(info, options),
        "height_m": lifter.info.height_m if options.height_m is None else options.height_m,
        "confidence_within_mm": lifter.info.confidence_within_mm,
    }
