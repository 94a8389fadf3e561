"""A video file, or keypoints -> everybody's 3D motion: frames, detector, tracker, lifter, and the
steps after it.

An image is released as soon as the detector has processed it; what stays in memory are keypoints.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from model.detectors.opening import Detector, open_detector
from model.keypoints.sequences import KeypointSequence
from model.lifting.lifter import Lifter
from model.lifting.options import LiftOptions
from model.lifting.passes import Encode, Lifting, Pass, carry_out
from model.motion.chain import (
    MotionOptions,
    applied,
    keypoint_warnings,
    lift_motion,
    rate_warnings,
)
from model.motion.world import room_of
from model.tracking.cleaning import Timeline, clean
from model.tracking.tracker import Tracker
from model.tracking.tracks import Frames, Track, leave_out_brief, split_at_gaps
from model.video.metadata import VideoInfo
from model.video.options import VideoOptions
from model.video.read_ahead import read_ahead
from model.video.reader import Video, open_video
from model.video.report import Tracked, video_applied, video_warnings
from model.video.results import PersonMotion, VideoResult

IMAGES_AHEAD = 2
"""Decoded while the detector works; each may be large, and one is enough where its time is even."""

Progress = Callable[[str, int, int | None], None]
"""Called with the stage (detecting, lifting, drawing), the frames done, and the total where it is
known. A frame is lifted once for each person in it."""


def lift_video(
    path: Path,
    lifter: Lifter,
    options: VideoOptions | None = None,
    progress: Progress | None = None,
) -> VideoResult:
    """The 3D motion of every person in a video; a video without people has a result, too.

    Decoding runs in its own thread, beside the detector. Lifting waits for the end, because only
    then is the true frame rate known. Raises NotAVideo, UnreadableVideo, TooLarge,
    DetectorUnavailable, InvalidInput, and what `progress` raises, which ends the work.
    """
    options = options or VideoOptions()
    report = progress or _ignore
    lifter.check(options)
    # one person more than the limit shows that there were more people
    most = options.max_people + (options.max_people > 1)
    with (
        open_video(path) as video,
        closing(open_detector(options.detector, most, lifter.device)) as detector,
    ):
        tracked = _track(video, detector, options, report)
    info = tracked.info
    focal_from = "assumed" if options.focal_px is None else "given"
    if options.focal_px is None and video.focal_px is not None:
        options, focal_from = replace(options, focal_px=video.focal_px), "file"
    people = tuple(_lift_people(tracked, lifter, options, report))
    result = VideoResult(
        video=info,
        detector=(detector.name, detector.version),
        model=(lifter.name, lifter.version),
        people=people,
        warnings=(*video.warnings, *video_warnings(tracked, lifter, options)),
        applied={**video_applied(tracked, lifter, options), "focal_from": focal_from},
        room=_room(people),
    )
    return result.in_space(options.space)


def lift_keypoints(
    sequence: KeypointSequence, lifter: Lifter, options: MotionOptions | None = None
) -> VideoResult:
    """The 3D motion of one person's 2D keypoints, in every frame of the sequence; raises
    InvalidInput where the model cannot do what the options ask."""
    return carry_out(
        lifting_keypoints(sequence, lifter, options or MotionOptions()), lifter.run_pass
    )


def lifting_keypoints(
    sequence: KeypointSequence, lifter: Lifter, options: MotionOptions, *, place: bool = True
) -> Lifting[VideoResult]:
    """What `lift_keypoints` does, for a caller that runs the passes. Without `place` the root and
    the room are not computed, and the space must be root."""
    keypoints = sequence.to_h36m17()
    motion = yield from lift_motion(lifter, keypoints, options, place=place)
    frames = np.arange(len(keypoints))
    with np.errstate(over="ignore"):  # at the lowest rates that a float holds
        times_s = frames / sequence.fps
    person = PersonMotion(
        id=1,
        frames=frames,
        times_s=times_s,
        keypoints=keypoints,
        poses=motion.poses,
        root=motion.root,
        confidence=motion.confidence,
    )
    width, height = sequence.image_size
    result = VideoResult(
        video=VideoInfo(width, height, sequence.fps, len(frames), len(frames) / sequence.fps),
        detector=("none", ""),
        model=(lifter.name, lifter.version),
        people=(person,),
        warnings=(*rate_warnings(lifter, sequence.fps), *keypoint_warnings(sequence)),
        applied={**applied(lifter, options, sequence.fps, sequence.image_size), "repair": False},
        room=_room((person,)) if place else None,
    )
    return result.in_space(options.space) if place else result


def _ignore(stage: str, done: int, total: int | None) -> None: ...


def _room(people: tuple[PersonMotion, ...]) -> Any:
    return room_of([(person.poses, person.path) for person in people]) if people else None


def _track(video: Video, detector: Detector, options: VideoOptions, report: Progress) -> Tracked:
    """Detect and track frame by frame, while the next ones are decoded."""
    every = options.detect_every
    tracker = Tracker(video.info.fps / every, options.max_people)
    tracks: defaultdict[int, Track] = defaultdict(lambda: Track(detector.skeleton))
    detected = array("q")
    with read_ahead(video.frames(every), IMAGES_AHEAD) as frames:
        for frame in frames:
            detected.append(frame.index)
            for id, person in tracker.update(detector.detect(frame.image, frame.time_s)):
                tracks[id].add(frame.index, person)
            for earlier in tracker.recovered:
                tracks[earlier.id].add(detected[earlier.frame], earlier.person)
            done = frame.index + 1
            report("detecting", done, max(video.info.frames, done) if video.info.frames else None)
    for last in tracker.finish():
        tracks[last.id].add(detected[last.frame], last.person)
    info = video.read_info
    timeline = Timeline((info.width, info.height), info.fps, np.array(video.times_s), every)
    brief_s = leave_out_brief(tracks, options.min_length, every / info.fps, len(detected))
    return Tracked(info, timeline, tracks, tracker.crowded, tracker.unconfirmed, brief_s)


def _lift_people(
    tracked: Tracked, lifter: Lifter, options: VideoOptions, report: Progress
) -> Iterator[PersonMotion]:
    timeline = tracked.timeline
    runs = {
        id: split_at_gaps(track.frames(), timeline.times_s, timeline.every)
        for id, track in sorted(tracked.tracks.items())
    }
    run_pass = _reporting(lifter, options, timeline.fps, report, sum(map(_length, runs.values())))
    for id, person_runs in runs.items():
        cleaned = tracked.cleaned[id] = clean(
            tracked.tracks[id],
            person_runs,
            timeline,
            repair=options.repair,
            remove_outliers=options.remove_outliers,
        )
        rows = np.split(np.arange(_length(person_runs)), np.cumsum([*map(len, person_runs)])[:-1])
        motion = carry_out(lift_motion(lifter, cleaned.keypoints, options, runs=rows), run_pass)
        frames = np.concatenate(person_runs)
        yield PersonMotion(
            id,
            frames,
            timeline.times_s[frames],
            cleaned.keypoints,
            motion.poses,
            motion.root,
            bridged=cleaned.bridged,
            confidence=motion.confidence,
        )


def _length(runs: list[Frames]) -> int:
    return sum(map(len, runs))


def _reporting(
    lifter: Lifter, options: LiftOptions, fps: float, report: Progress, total: int
) -> Callable[[Pass], Any]:
    """Runs passes, and reports the frames that they lift: each is encoded once, or twice with
    flip."""
    frames_an_input = lifter.info.stride(fps) / (1 + options.flip)
    done = 0.0

    def run(work: Pass) -> Any:
        nonlocal done
        result = lifter.run_pass(work)
        if isinstance(work, Encode):
            done += len(work.inputs) * frames_an_input
            report("lifting", min(round(done), total), total)
        return result

    return run
