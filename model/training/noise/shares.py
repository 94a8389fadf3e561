"""How often detections fail, as shares of windows, frames and joints, and for how long."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from model.training.noise.person import PersonErrors
from model.training.noise.tracks import Float64, Track

WINDOW = 27
"""Frames per window, as in the shipped network."""
LOW_SCORE = 0.5
BRIDGED_S = 0.5
"""Longest gap that is bridged when lifting; across a longer one there is no window."""
MARGIN = 0.01
"""Share of the image's sides: joints this close to a border count as cropped."""


@dataclass(frozen=True)
class Shares:
    """Shares of windows (27 frames), frames or joints, over all people."""

    swapped_windows: float
    burst_windows: float
    absent_windows: float
    low_score_windows: float
    swapped_frames: float
    cropped_frames: float
    low_score_joints: float
    low_score_joints_in_intervals: float
    outside_joints: float


@dataclass(frozen=True)
class Bursts:
    """Intervals of very large error: the share of a frame's joints, the median size in spreads, and
    the length of each in frames."""

    joints: float
    times: float
    frames: tuple[int, ...]


def count_shares(people: Sequence[PersonErrors], sizes: Sequence[Float64]) -> Shares:
    """`sizes` are the burst sizes of each person."""
    tracks = [person.track for person in people]
    low = [track.score < LOW_SCORE for track in tracks]
    swapped = [p.track.frames[p.swapped.any(axis=1)] for p in people]
    bursts = [p.frames[(s > 0).any(axis=1)] for p, s in zip(people, sizes, strict=True)]
    low_frames = [t.frames[row.any(axis=1)] for t, row in zip(tracks, low, strict=True)]
    return Shares(
        swapped_windows=_of_windows(tracks, swapped),
        burst_windows=_of_windows(tracks, bursts),
        absent_windows=_of_windows(tracks, [absent(track) for track in tracks]),
        low_score_windows=_of_windows(tracks, low_frames),
        swapped_frames=_mean(p.swapped.any(axis=1) for p in people),
        cropped_frames=_mean(_outside(track, MARGIN).any(axis=1) for track in tracks),
        low_score_joints=_mean(low),
        low_score_joints_in_intervals=_mean(rows[rows.any(axis=1)] for rows in low),
        outside_joints=_mean(_outside(track, 0.0) for track in tracks),
    )


def describe_bursts(people: Sequence[PersonErrors], sizes: Sequence[Float64]) -> Bursts:
    """Size and length of bursts, and the joints involved."""
    large = np.concatenate([size[size > 0] for size in sizes])
    frames = [
        length
        for person, size in zip(people, sizes, strict=True)
        for length in run_lengths(person.frames[(size > 0).any(axis=1)])
    ]
    return Bursts(
        joints=_mean(size[(size > 0).any(axis=1)] > 0 for size in sizes),
        times=float(np.median(large)) if len(large) else 0.0,
        frames=tuple(frames),
    )


def absent(track: Track) -> NDArray[np.int64]:
    """Frames of gaps of up to half a second."""
    gaps = [
        np.arange(before + 1, after)
        for before, after in pairwise(track.frames)
        if 1 < after - before <= BRIDGED_S * track.fps
    ]
    return np.concatenate([np.zeros(0, np.int64), *gaps])


def run_lengths(frames: NDArray[np.int64]) -> list[int]:
    """Lengths of runs of consecutive frames."""
    if not len(frames):
        return []
    runs = np.split(frames, np.flatnonzero(np.diff(frames) != 1) + 1)
    return [len(run) for run in runs]


def _of_windows(tracks: Sequence[Track], marked: Sequence[NDArray[np.int64]]) -> float:
    """The share of windows with a marked frame; a track shorter than a window counts as one."""
    hits, windows = 0, 0
    for track, frames in zip(tracks, marked, strict=True):
        flags = np.zeros(track.frames[-1] - track.frames[0] + 1, bool)
        flags[frames - track.frames[0]] = True
        sums = np.convolve(flags, np.ones(min(WINDOW, len(flags)), int), mode="valid")
        hits, windows = hits + int((sums > 0).sum()), windows + len(sums)
    return hits / windows


def _outside(track: Track, margin: float) -> NDArray[np.bool_]:
    """Joints (T, 17) outside the image, or closer to a border than the margin."""
    share = track.xy / np.array(track.image_size)
    return ((share < margin) | (share > 1 - margin)).any(axis=-1)


def _mean(parts: Iterable[NDArray[np.bool_]]) -> float:
    flags = np.concatenate([part.ravel() for part in parts])
    return float(flags.mean()) if len(flags) else 0.0
