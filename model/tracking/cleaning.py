"""One person's track -> the keypoints that are lifted: repaired and interpolated."""

from dataclasses import dataclass

import numpy as np

from model.keypoints.sequences import Float32, Float64, Indices, KeypointSequence
from model.keypoints.skeleton import H36M17
from model.tracking.outliers import without_outliers
from model.tracking.swaps import undo_swaps
from model.tracking.tracks import Track, fill, split_at_gaps


@dataclass(frozen=True)
class Timeline:
    """A video's image_size (w, h) px, frame rate, and times_s (T,) of all frames, of which every
    `every`-th is a detected frame."""

    image_size: tuple[int, int]
    fps: float
    times_s: Float64
    every: int

    def sequence(self, rows: Float32, every: int = 1) -> KeypointSequence:
        """Rows (T, 17, 3), x, y px and score, of every n-th frame."""
        size = self.image_size
        return KeypointSequence(rows[..., :2], rows[..., 2], size, self.fps / every, H36M17)


@dataclass(frozen=True)
class Cleaned:
    """One person's frames (n,) and keypoints; runs: the rows of each run of consecutive frames;
    bridged: the frames without a detection; swapped: number of frames with repaired left/right
    swaps; outliers: number of corrected keypoints."""

    frames: Indices
    keypoints: KeypointSequence
    runs: list[Indices]
    bridged: Indices
    swapped: int
    outliers: int


def clean(track: Track, timeline: Timeline, *, repair: bool, remove_outliers: bool) -> Cleaned:
    """Split a track at long gaps; in each run repair swaps, remove outliers, then interpolate."""
    times_s, every = timeline.times_s, timeline.every
    detected, rows = track.detections()
    runs = split_at_gaps(detected, times_s, every)
    swapped = outliers = 0
    parts, bridged = [], []
    for run in runs:
        inside = slice(*np.searchsorted(detected, [run[0], run[-1] + 1]))
        sequence = timeline.sequence(rows[inside], every)
        if repair:
            sequence, swaps = undo_swaps(sequence)
            swapped += int(swaps.any(axis=1).sum())
        if remove_outliers:
            sequence, moved = without_outliers(sequence)
            outliers += int(moved.sum())
        filled, missed = fill(run, detected[inside], sequence.rows, times_s, every)
        parts.append(filled)
        bridged.append(run[missed])
    frames, keypoints = np.concatenate(runs), timeline.sequence(np.concatenate(parts))
    run_rows = np.split(np.arange(len(frames)), np.cumsum([len(run) for run in runs])[:-1])
    return Cleaned(frames, keypoints, run_rows, np.concatenate(bridged), swapped, outliers)
