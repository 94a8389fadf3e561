"""Images of a live stream -> the people in them, with identities: detector, tracker, repair."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from model.detectors.opening import Detector
from model.keypoints.sequences import Float32, KeypointSequence
from model.keypoints.skeleton import H36M17
from model.tracking.swaps import SwapRepairs
from model.tracking.tracker import Tracker
from model.tracking.tracks import MAX_BRIDGED_S, between, detection_rows

MAX_TIME_S = 1e9
"""Detectors count in whole microseconds."""


class PeopleWatcher:
    """The people of images that arrive one after another; frames between may be left out.

    Where a person is detected before and after such a gap, their joints move on straight lines in
    time. Owns its detector; `close` it.
    """

    def __init__(self, detector: Detector, fps: float, max_people: int, *, repair: bool = False):
        self._detector = detector
        self._fps = fps
        self._tracker = Tracker(fps, max_people)
        self._repairs = SwapRepairs[int]() if repair else None
        self._frame = -1
        self._before: Mapping[int, Float32] = {}

    def detect(
        self, image: NDArray[np.uint8], frame: int
    ) -> tuple[range, dict[int, KeypointSequence]]:
        """The frames since the last detection up to this one, and the people in an upright RGB
        image (H, W, 3) by identity: H36M-17 over all these frames; of a new person the last alone.
        Raises what the detector raises."""
        people = self._detector.detect(image, min(frame / self._fps, MAX_TIME_S))
        tracked = self._tracker.update(people, frame)
        size = (image.shape[1], image.shape[0])
        rows: dict[int, Float32] = {}
        if tracked:
            found = detection_rows([person for _, person in tracked], self._detector.skeleton)
            rows = {id: row for (id, _), row in zip(tracked, found, strict=True)}
        if self._repairs:  # before interpolating, so that no joint crosses the body on its way
            once = {id: self._sequence(row[None], size) for id, row in rows.items()}
            rows = {id: one.rows[0] for id, one in self._repairs.push(once).items()}
        frames = range(self._frame + 1, frame + 1)
        sequences = {
            id: self._sequence(self._bridged(id, row, len(frames)), size)
            for id, row in rows.items()
        }
        self._frame, self._before = frame, rows
        return frames, sequences

    def close(self) -> None:
        self._detector.close()

    def _bridged(self, id: int, row: Float32, frames: int) -> Float32:
        """(frames, 17, 3) from the last detection, excluded, to this one; else (1, 17, 3)."""
        if id not in self._before or frames > max(1, MAX_BRIDGED_S * self._fps):
            return row[None]
        share = np.arange(1, frames) / frames
        return np.concatenate([between(self._before[id], row, share), row[None]])

    def _sequence(self, rows: Float32, size: tuple[int, int]) -> KeypointSequence:
        return KeypointSequence(rows[..., :2], rows[..., 2], size, self._fps, H36M17)
