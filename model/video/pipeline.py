"""A video file or keypoints -> the 3D motion of every person.

A video's images are released once the detector has processed them; only keypoints stay in memory.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from model.detectors.opening import Detector, open_detector
from model.detectors.person import Person
from model.keypoints.sequences import Image, KeypointSequence
from model.lifting.lifter import Lifter
from model.lifting.options import LiftOptions
from model.lifting.passes import Encode, Lifting, Pass, carry_out
from model.motion.chain import (
    MotionOptions,
    applied,
    filter_warnings,
    keypoint_warnings,
    lift_motion,
    rate_warnings,
)
from model.motion.world import Room, room_of
from model.tracking.cleaning import Cleaned, Timeline, clean
from model.tracking.tracker import Tracker
from model.tracking.tracks import Track, remove_brief
from model.video.metadata import VideoInfo
from model.video.options import VideoOptions
from model.video.read_ahead import read_ahead
from model.video.reader import Video, open_video
from model.video.report import TrackedVideo, person_warnings, video_applied, video_warnings
from model.video.results import PersonMotion, VideoResult
from model.video.watcher import MAX_TIME_S

IMAGES_AHEAD = 2
"""Images decoded while the detector works; few, because they may be large."""

Progress = Callable[[str, int, int | None], None]
"""Called with the stage (detecting, lifting, drawing), the frames done, and the total if known. A
frame counts once for each person who is lifted in it."""


def lift_video(
    path: Path,
    lifter: Lifter,
    options: VideoOptions | None = None,
    progress: Progress | None = None,
) -> VideoResult:
    """The 3D motion of every person in a video, possibly of none.

    Decoding runs in its own thread, beside the detector. Lifting starts after the last frame,
    because the true frame rate is not known before. Raises NotAVideo, UnreadableVideo, TooLarge,
    DetectorUnavailable, InvalidInput, and what `progress` raises, which ends the work.
    """
    options = options or VideoOptions()
    progress = progress or (lambda stage, done, total: None)
    lifter.check(options)
    # one person above the limit, to notice that there are more
    most = options.max_people + (options.max_people > 1)
    with (
        open_video(path) as video,
        closing(open_detector(options.detector, most, lifter.device)) as detector,
    ):
        tracked = _track(video, detector, options, progress)
    focal_from = "assumed" if options.focal_px is None else "given"
    if options.focal_px is None and video.focal_px is not None:
        options, focal_from = replace(options, focal_px=video.focal_px), "file"
    repairs = {"repair": options.repair, "remove_outliers": options.remove_outliers}
    cleaned = {id: clean(t, tracked.timeline, **repairs) for id, t in tracked.tracks.items()}
    people = _lift_people(cleaned, tracked.timeline, lifter, options, progress)
    warnings = [*video.warnings, *video_warnings(tracked, lifter, options)]
    for id, person in cleaned.items():
        warnings += person_warnings(id, person)
    result = VideoResult(
        video=tracked.info,
        detector=(detector.name, detector.version),
        model=(lifter.name, lifter.version),
        people=people,
        warnings=tuple(warnings),
        applied={**video_applied(tracked.info, lifter, options), "focal_from": focal_from},
        room=_room(people),
    )
    return result.in_space(options.space)


def lift_keypoints(
    sequence: KeypointSequence, lifter: Lifter, options: MotionOptions | None = None
) -> VideoResult:
    """The 3D motion of one person's 2D keypoints, in every frame of the sequence. Raises
    InvalidInput if the model does not support the options."""
    task = lifting_keypoints(sequence, lifter, options or MotionOptions())
    return carry_out(task, lifter.run_pass)


def lifting_keypoints(
    sequence: KeypointSequence, lifter: Lifter, options: MotionOptions, *, place: bool = True
) -> Lifting[VideoResult]:
    """`lift_keypoints` as a lift task, for a caller that runs the passes. Without `place`, root and
    room are not computed, and the space must be root."""
    keypoints = sequence.to_h36m17()
    motion = yield from lift_motion(lifter, keypoints, options, place=place)
    fps, count = sequence.fps, len(sequence)
    frames = np.arange(count)
    with np.errstate(over="ignore"):  # at extremely low frame rates
        times_s = frames / fps
    person = PersonMotion(
        id=1,
        frames=frames,
        times_s=times_s,
        keypoints=keypoints,
        poses=motion.poses,
        root=motion.root,
        confidence=motion.confidence,
    )
    result = VideoResult(
        video=VideoInfo(*sequence.image_size, fps, count, count / fps),
        detector=("none", ""),
        model=(lifter.name, lifter.version),
        people=(person,),
        warnings=(
            *rate_warnings(lifter, fps),
            *filter_warnings(options, fps),
            *keypoint_warnings(sequence),
        ),
        applied={**applied(lifter, options, fps, sequence.image_size), "repair": False},
        room=_room([person]) if place else None,
    )
    return result.in_space(options.space) if place else result


def _room(people: Sequence[PersonMotion]) -> Room | None:
    return room_of([(person.poses, person.known_root) for person in people]) if people else None


def _track(
    video: Video, detector: Detector, options: VideoOptions, progress: Progress
) -> TrackedVideo:
    """Detect and track people frame by frame, while the next frames are decoded."""
    every = options.detect_every
    tracker = Tracker(options.max_people)
    tracks: defaultdict[int, Track] = defaultdict(lambda: Track(detector.skeleton))
    detected = array("q")
    size = (video.info.width, video.info.height)
    with read_ahead(video.frames(every), IMAGES_AHEAD) as frames:
        for frame in frames:
            detected.append(frame.index)
            people = _scaled(
                detector.detect(frame.image, min(frame.time_s, MAX_TIME_S)), frame.image, size
            )
            for id, person in tracker.update(people, frame.time_s):
                tracks[id].add(frame.index, person)
            for earlier in tracker.recovered:
                tracks[earlier.id].add(detected[earlier.update], earlier.person)
            done = frame.index + 1
            progress("detecting", done, max(video.info.frames, done))
    for last in tracker.finish():
        tracks[last.id].add(detected[last.update], last.person)
    info = video.read_info
    for track in tracks.values():
        track.scale(info.width / size[0], info.height / size[1])
    timeline = Timeline((info.width, info.height), info.fps, np.array(video.times_s), every)
    brief_s = remove_brief(tracks, options.min_length, every / info.fps, len(detected))
    by_id = dict(sorted(tracks.items()))
    return TrackedVideo(info, timeline, by_id, tracker.crowded, tracker.unconfirmed, brief_s)


def _scaled(people: list[Person], image: Image, size: tuple[int, int]) -> list[Person]:
    """Detections in an image (H, W, 3) -> in pixels of another size (w, h)."""
    own = image.shape[1::-1]
    if own == size:
        return people
    factors = np.divide(size, own, dtype=np.float32)
    return [Person(person.xy * factors, person.score) for person in people]


def _lift_people(
    cleaned: Mapping[int, Cleaned],
    timeline: Timeline,
    lifter: Lifter,
    options: VideoOptions,
    progress: Progress,
) -> tuple[PersonMotion, ...]:
    total = sum(len(person.frames) for person in cleaned.values())
    run_pass = _reporting(lifter, options, timeline.fps, progress, total)
    people = []
    for id, person in cleaned.items():
        times_s = timeline.times_s[person.frames]
        task = lift_motion(lifter, person.keypoints, options, runs=person.runs, times_s=times_s)
        motion = carry_out(task, run_pass)
        people.append(
            PersonMotion(
                id,
                person.frames,
                times_s,
                person.keypoints,
                motion.poses,
                motion.root,
                bridged=person.bridged,
                confidence=motion.confidence,
            )
        )
    return tuple(people)


def _reporting(
    lifter: Lifter, options: LiftOptions, fps: float, progress: Progress, total: int
) -> Callable[[Pass], Any]:
    """Lifter.run_pass that reports the frames lifted: each is encoded once, or twice with flip."""
    frames_per_input = lifter.info.stride(fps) / (1 + options.flip)
    done = 0.0

    def run(work: Pass) -> Any:
        nonlocal done
        result = lifter.run_pass(work)
        if isinstance(work, Encode):
            done += len(work.inputs) * frames_per_input
            progress("lifting", min(round(done), total), total)
        return result

    return run
