"""Tracks: the detections of each person of a video, in compact arrays (30 MB per hour)."""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.detectors.person import Person
from model.keypoints.sequences import (
    MAX_COORDINATE_PX,
    Bools,
    Float32,
    Float64,
    Indices,
    KeypointSequence,
)
from model.keypoints.skeleton import H36M17, Skeleton

MAX_BRIDGED_S = 0.5
"""Longer gaps split a track into runs that are lifted separately."""
USUAL_STEPS = 1.5
"""A gap is longer than so many of the video's usual steps between detected frames."""
_BLOCK = 256
"""Detections converted at once."""


class Track:
    """One person's detections, added in any order."""

    def __init__(self, skeleton: Skeleton):
        self._skeleton = skeleton
        self._frames = array("q")
        self._rows = array("f")
        self._latest: list[Person] = []

    def add(self, frame: int, person: Person) -> None:
        self._frames.append(frame)
        self._latest.append(person)
        if len(self._latest) == _BLOCK:
            self._convert()

    def __len__(self) -> int:
        """The number of detections."""
        return len(self._frames)

    def detections(self) -> tuple[Indices, Float32]:
        """The frames (n,), ascending, and H36M-17 rows (n, 17, 3): x, y px and score."""
        self._convert()
        frames = np.array(self._frames, np.int64)
        rows = np.array(self._rows, np.float32).reshape(len(frames), len(H36M17.joints), 3)
        order = np.argsort(frames)
        return frames[order], rows[order]

    def scale(self, x: float, y: float) -> None:
        """Multiply all keypoints found so far, for another size of the image."""
        self._convert()
        if (x, y) != (1, 1):
            rows = np.array(self._rows, np.float32).reshape(-1, 3) * np.array((x, y, 1), np.float32)
            self._rows = array("f", rows.tobytes())

    def _convert(self) -> None:
        if self._latest:
            self._rows.frombytes(detection_rows(self._latest, self._skeleton).tobytes())
            self._latest.clear()


def detection_rows(people: Sequence[Person], skeleton: Skeleton) -> Float32:
    """One or more detections -> H36M-17 rows (n, 17, 3): x, y px and score. Keypoints beyond the
    limit of coordinates count as not seen."""
    xy = np.stack([person.xy for person in people])
    score = np.stack([person.score for person in people])
    score = np.where(np.abs(xy).max(axis=-1) > MAX_COORDINATE_PX, 0, score)
    # neither the image size nor the frame rate matters to a conversion
    rows = KeypointSequence(xy, score, (1, 1), 1.0, skeleton).to_h36m17().rows
    return rows.astype(np.float32)


def between(start: Float32, end: Float32, share: NDArray[np.floating[Any]]) -> Float32:
    """Linear interpolation at the shares (T,) of the way from `start` to `end`, each (17, 3) or
    (T, 17, 3) -> rows (T, 17, 3). Joints must be seen at both ends to be seen between them."""
    rows = start + share[:, None, None].astype(np.float32) * (end - start)
    seen = (start[..., 2] > 0) & (end[..., 2] > 0)
    return np.where(seen[..., None], rows, np.float32(0))


def remove_brief(
    tracks: dict[int, Track], min_length_s: float, step_s: float, detected_frames: int
) -> dict[int, float]:
    """Remove tracks shorter than min_length_s, except those with all detected frames of the video
    -> id -> length, s, of those removed. A detection counts for step_s."""
    brief_s = {
        id: len(track) * step_s
        for id, track in tracks.items()
        if len(track) * step_s < min_length_s and len(track) < detected_frames
    }
    for id in brief_s:
        del tracks[id]
    return brief_s


def split_at_gaps(
    frames: Sequence[int] | Indices, times_s: Float64, every: int = 1
) -> list[Indices]:
    """Frames with a detection -> runs of consecutive frames, split at longer gaps in time.
    times_s (T,) are those of all frames, of which every n-th is a detected frame."""
    frames = np.asarray(frames, np.int64)
    usual_s = np.median(np.diff(times_s)) if len(times_s) > 1 else 0.0
    long = np.diff(times_s[frames]) > max(MAX_BRIDGED_S, USUAL_STEPS * every * usual_s)
    runs = np.split(frames, np.flatnonzero(long) + 1)
    return [np.arange(run[0], run[-1] + 1) for run in runs]


def fill(
    run: Indices, detected: Indices, rows: Float32, times_s: Float64, every: int = 1
) -> tuple[Float32, Bools]:
    """Rows (n, 17, 3) of the frames `detected` (n,) -> rows (T, 17, 3) of all frames of the run,
    linear in time between detections, and which (T,) are bridged: beside a detected frame without
    the person."""
    before = np.searchsorted(detected, run, side="right") - 1
    after = np.minimum(before + (detected[before] < run), len(detected) - 1)
    step_s = times_s[detected[after]] - times_s[detected[before]]
    share = (times_s[run] - times_s[detected[before]]) / np.where(step_s > 0, step_s, 1)
    bridged = detected[after] - detected[before] > every
    return between(rows[before], rows[after], share), bridged
