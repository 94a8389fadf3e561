"""The warnings and the applied options of a video result."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.lifting.grid import EvenGrid
from model.lifting.lifter import Lifter
from model.motion.chain import applied, filter_warnings, rate_warnings
from model.motion.steadiness import spread
from model.tracking.cleaning import Cleaned, Timeline
from model.tracking.tracks import MAX_BRIDGED_S, Track, split_at_gaps
from model.video.metadata import VideoInfo
from model.video.options import VideoOptions

STILL_S = 1.0
STILL_SPREAD = 0.004
"""A person with less `spread`, in body sizes, over STILL_S may be a picture."""


@dataclass(frozen=True)
class TrackedVideo:
    """A video after tracking: tracks by id; crowded: there were more than max_people; unconfirmed:
    number of people with too few detections; brief_s: id -> s of those removed by min_length."""

    info: VideoInfo
    timeline: Timeline
    tracks: Mapping[int, Track]
    crowded: bool
    unconfirmed: int
    brief_s: Mapping[int, float]


def video_applied(info: VideoInfo, lifter: Lifter, options: VideoOptions) -> dict[str, Any]:
    """The options in effect, with the values used for those not set."""
    size = (info.width, info.height)
    return {
        **applied(lifter, options, info.fps, size),
        "focal_px": max(size) if options.focal_px is None else options.focal_px,
        "min_length": options.min_length,
        "detect_every": options.detect_every,
        "repair": f"gaps of up to {MAX_BRIDGED_S:g} s bridged"
        + ", left/right swaps undone" * options.repair
        + ", outliers removed" * options.remove_outliers,
    }


def video_warnings(tracked: TrackedVideo, lifter: Lifter, options: VideoOptions) -> list[str]:
    """Warnings of the frame rate and of people that were left out."""
    fps, times_s = tracked.info.fps, tracked.timeline.times_s
    warnings = rate_warnings(lifter, fps) + filter_warnings(options, fps)
    if not tracked.tracks:
        warnings.append("nobody was found")
    frames = np.arange(len(times_s))
    runs = split_at_gaps(frames, times_s)
    if any(len(run) > 1 and EvenGrid.of(times_s[run], fps) for run in runs):
        warnings.append(
            f"the frames are unevenly spaced in time; they were lifted at {fps:.4g} frames/s"
        )
    if len(runs) > 1:
        warnings.append(f"the video has {_counted(len(runs) - 1, 'pause')} between its frames")
    if tracked.crowded:
        warnings.append(f"there are more than {options.max_people} people; the rest was left out")
    if tracked.unconfirmed:
        count = tracked.unconfirmed
        people = "1 person was" if count == 1 else f"{count} people were"
        warnings.append(f"{people} left out: detected in too few frames to be certain")
    warnings += [
        f"person {id}, detected for {seconds:.2f} s, was left out: less than min_length"
        for id, seconds in tracked.brief_s.items()
    ]
    return warnings


def person_warnings(id: int, cleaned: Cleaned) -> Iterable[str]:
    """Warnings of a person who does not move, and of corrected keypoints."""
    if _is_still(cleaned):
        yield f"person {id} does not move at all: perhaps a picture of a person"
    if cleaned.swapped:
        frames = _counted(cleaned.swapped, "frame")
        yield f"person {id}: left and right were swapped back in {frames}"
    if cleaned.outliers:
        yield f"person {id}: {_counted(cleaned.outliers, 'outlying keypoint')} corrected"


def _is_still(cleaned: Cleaned) -> bool:
    keypoints = cleaned.keypoints
    long_enough = len(keypoints) - len(cleaned.bridged) >= STILL_S * keypoints.fps
    return long_enough and spread(keypoints) < STILL_SPREAD


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
