"""One person's detections -> the keypoints that are lifted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.keypoints.sequences import Float32, KeypointSequence
from model.keypoints.skeleton import H36M17
from model.tracking.outliers import without_outliers
from model.tracking.swaps import undo_swaps
from model.tracking.tracks import Frames, Track, fill


@dataclass(frozen=True)
class Timeline:
    """The frames of a video: image_size (w, h) px, rate, times_s (T,) of all of them, of which the
    detector ran on every n-th."""

    image_size: tuple[int, int]
    fps: float
    times_s: NDArray[np.float64]
    every: int

    def sequence(self, rows: Float32, every: int = 1) -> KeypointSequence:
        """Rows (T, 17, 3), x, y px and score, of every n-th frame."""
        size = self.image_size
        return KeypointSequence(rows[..., :2], rows[..., 2], size, self.fps / every, H36M17)


@dataclass(frozen=True)
class Cleaned:
    """keypoints of all runs, one after the other; bridged: the frames in which the person was
    missed; swapped: frames in which left and right were swapped back; outliers: keypoints that
    were moved."""

    keypoints: KeypointSequence
    bridged: Frames
    swapped: int = 0
    outliers: int = 0


def clean(
    track: Track, runs: Sequence[Frames], timeline: Timeline, *, repair: bool, remove_outliers: bool
) -> Cleaned:
    """Each run for itself: swaps undone, then outliers removed, then what lies between filled."""
    frames, found = track.sightings()
    swapped = outliers = 0
    for run in runs:
        inside = slice(*np.searchsorted(frames, [run[0], run[-1] + 1]))
        sequence = timeline.sequence(found[inside], timeline.every)
        if repair:
            sequence, exchanged = undo_swaps(sequence)
            swapped += int(exchanged.any(axis=1).sum())
        if remove_outliers:
            sequence, moved = without_outliers(sequence)
            outliers += int(moved.sum())
        found[inside] = sequence.rows
    filled = [fill(run, frames, found, timeline.times_s, timeline.every) for run in runs]
    keypoints = timeline.sequence(np.concatenate([rows for rows, _ in filled]))
    bridged = [run[missed] for run, (_, missed) in zip(runs, filled, strict=True)]
    return Cleaned(keypoints, np.concatenate(bridged), swapped, outliers)
