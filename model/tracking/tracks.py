"""Where each person of a video was seen, kept small: an hour of one person takes some 30 MB."""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.detectors.person import Person
from model.keypoints.sequences import MAX_COORDINATE_PX, Float32, KeypointSequence
from model.keypoints.skeleton import H36M17, Skeleton

MAX_BRIDGED_S = 0.5
"""A person away for longer is lifted in two parts, before and after."""
_BLOCK = 256
"""Sightings that are converted at once."""

Frames = NDArray[np.int64]


class Track:
    """One person's sightings, added in any order."""

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

    def frames(self) -> Frames:
        """The frames (n,) of the sightings, in rising order."""
        return np.sort(np.array(self._frames, np.int64))

    def sightings(self) -> tuple[Frames, Float32]:
        """The frames (n,) in rising order, and H36M-17 rows (n, 17, 3): x, y px and score."""
        self._convert()
        frames = np.array(self._frames, np.int64)
        rows = np.array(self._rows, np.float32).reshape(len(frames), len(H36M17.joints), 3)
        order = np.argsort(frames)
        return frames[order], rows[order]

    def _convert(self) -> None:
        if self._latest:
            self._rows.frombytes(detection_rows(self._latest, self._skeleton).tobytes())
            self._latest.clear()


def detection_rows(people: Sequence[Person], skeleton: Skeleton) -> Float32:
    """Detections, at least one -> H36M-17 rows (n, 17, 3): x, y px and score. A keypoint beyond the
    limit of coordinates counts as not seen."""
    xy = np.stack([person.xy for person in people])
    score = np.stack([person.score for person in people])
    score = np.where(np.abs(xy).max(axis=-1) > MAX_COORDINATE_PX, 0, score)
    # neither the image size nor the frame rate matters to a conversion
    rows = KeypointSequence(xy, score, (1, 1), 1.0, skeleton).to_h36m17().rows
    return rows.astype(np.float32)


def between(start: Float32, end: Float32, share: NDArray[np.floating[Any]]) -> Float32:
    """Rows (T, 17, 3) at a share (T,) of the way from `start` to `end`, each (17, 3) or
    (T, 17, 3). A joint that is not seen at both ends is not seen between them."""
    rows = start + share[:, None, None].astype(np.float32) * (end - start)
    seen = (start[..., 2] > 0) & (end[..., 2] > 0)
    return np.where(seen[..., None], rows, np.float32(0))


def leave_out_brief(
    tracks: dict[int, Track], min_length_s: float, look_s: float, looks: int
) -> dict[int, float]:
    """Take out who was seen for less than min_length_s, and say for how long they were: id -> s. A
    look stands for look_s; who was seen in all looks of a video stays, however short it is."""
    brief_s = {
        id: len(track.frames()) * look_s
        for id, track in tracks.items()
        if len(track.frames()) * look_s < min_length_s and len(track.frames()) < looks
    }
    for id in brief_s:
        del tracks[id]
    return brief_s


def split_at_gaps(
    frames: Sequence[int] | Frames, times_s: NDArray[np.float64], every: int = 1
) -> list[Frames]:
    """Frames in which a person was seen -> runs of frames, short gaps filled, split at long ones;
    times_s are those of all the video's frames, of which every n-th was looked at."""
    seen = np.asarray(frames, np.int64)
    away = np.diff(times_s[seen]) > MAX_BRIDGED_S
    away &= np.diff(seen) > every
    runs = np.split(seen, np.flatnonzero(away) + 1)
    return [np.arange(run[0], run[-1] + 1) for run in runs]


def fill(
    run: Frames, seen: Frames, rows: Float32, times_s: NDArray[np.float64], every: int = 1
) -> tuple[Float32, NDArray[np.bool_]]:
    """The rows (T, 17, 3) of a run of frames, from those (n, 17, 3) of the frames `seen`, and which
    (T,) are bridged: their neighbours were looked at without finding the person.

    Between two sightings joints move on a straight line in time; a joint that was not seen in both
    is not seen between them.
    """
    inside = slice(*np.searchsorted(seen, [run[0], run[-1] + 1]))
    seen, rows = seen[inside], rows[inside]
    before = np.searchsorted(seen, run, side="right") - 1
    after = np.minimum(before + (seen[before] < run), len(seen) - 1)
    step_s = times_s[seen[after]] - times_s[seen[before]]
    share = (times_s[run] - times_s[seen[before]]) / np.where(step_s > 0, step_s, 1)
    bridged = seen[after] - seen[before] > every
    return between(rows[before], rows[after], share), bridged
