"""What a result says of its video: warnings, and the options in effect."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.lifting.lifter import Lifter
from model.motion.chain import applied, rate_warnings
from model.motion.steadiness import spread
from model.tracking.cleaning import Cleaned, Timeline
from model.tracking.tracks import MAX_BRIDGED_S, Track
from model.video.metadata import VideoInfo
from model.video.options import VideoOptions

UNEVEN = 0.25
"""Frames are unevenly spaced when their steps spread by more than this share of the mean."""
STILL_S = 1.0
STILL_SPREAD = 0.004
"""A person who spreads less, as a share of their size, for that long is a picture: see `spread`."""
NOBODY = "nobody was found"


@dataclass
class Tracked:
    """The people of a video before lifting: tracks by id; whether there were more than max_people;
    how many were detected too briefly to be certain; brief_s, id -> s, of those left out by
    min_length; and their cleaned keypoints, once these are there."""

    info: VideoInfo
    timeline: Timeline
    tracks: dict[int, Track]
    crowded: bool
    unsure: int
    brief_s: dict[int, float]
    cleaned: dict[int, Cleaned] = field(default_factory=dict)


def video_applied(tracked: Tracked, lifter: Lifter, options: VideoOptions) -> dict[str, Any]:
    """The options in effect, and the values that stand in for those not given."""
    info = tracked.info
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


def video_warnings(tracked: Tracked, lifter: Lifter, options: VideoOptions) -> list[str]:
    """What a user must know of the result: who was left out, and what was guessed or changed."""
    warnings = rate_warnings(lifter, tracked.info.fps)
    if not tracked.tracks:
        warnings.append(NOBODY)
    steps_s = np.diff(tracked.timeline.times_s)
    if len(steps_s) and steps_s.std() > UNEVEN * steps_s.mean():
        warnings.append("the frames are unevenly spaced in time; they were lifted as if even")
    if tracked.crowded:
        warnings.append(f"there are more than {options.max_people} people; the rest was left out")
    if tracked.unsure:
        people = "1 person was" if tracked.unsure == 1 else f"{tracked.unsure} people were"
        warnings.append(f"{people} left out: detected in too few frames to be certain")
    warnings += [
        f"person {id}, detected for {seconds:.2f} s, was left out: less than min_length"
        for id, seconds in tracked.brief_s.items()
    ]
    for id, cleaned in tracked.cleaned.items():
        if _is_still(cleaned):
            warnings.append(f"person {id} does not move at all: perhaps a picture of a person")
        if cleaned.swapped:
            frames = _counted(cleaned.swapped, "frame")
            warnings.append(f"person {id}: left and right were swapped back in {frames}")
        if cleaned.outliers:
            keypoints = _counted(cleaned.outliers, "outlying keypoint")
            warnings.append(f"person {id}: {keypoints} corrected")
    return warnings


def _is_still(cleaned: Cleaned) -> bool:
    keypoints = cleaned.keypoints
    long_enough = len(keypoints) - len(cleaned.bridged) >= STILL_S * keypoints.fps
    return long_enough and spread(keypoints) < STILL_SPREAD


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
