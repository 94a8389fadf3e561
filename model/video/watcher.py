"""Live images -> people with identities: detector, tracker, swap repair."""

from collections.abc import Mapping

import numpy as np

from model.detectors.opening import Detector
from model.keypoints.sequences import Float32, Image, KeypointSequence
from model.keypoints.skeleton import H36M17
from model.tracking.swaps import SwapRepairs
from model.tracking.tracker import Tracker
from model.tracking.tracks import MAX_BRIDGED_S, between, detection_rows

MAX_TIME_S = 1e9
"""Upper limit of times for detectors, which count microseconds."""


class PeopleWatcher:
    """Detects and tracks people in images that arrive one after another; frames may be skipped.

    Keypoints of a person detected before and after skipped frames are interpolated. Owns the
    detector; `close` it.
    """

    def __init__(self, detector: Detector, fps: float, max_people: int, *, repair: bool = False):
        self._detector = detector
        self._fps = fps
        self._tracker = Tracker(max_people)
        self._repairs = SwapRepairs[int]() if repair else None
        self._frame = -1
        self._before: Mapping[int, Float32] = {}

    def detect(self, image: Image, frame: int) -> tuple[range, dict[int, KeypointSequence]]:
        """Detect people in an upright RGB image (H, W, 3) -> the frames after the last image up to
        this one, and each person's H36M-17 keypoints in them, of a new person in the last frame
        only. Raises what the detector raises."""
        time_s = min(frame / self._fps, MAX_TIME_S)
        tracked = self._tracker.update(self._detector.detect(image, time_s), time_s)
        size = (image.shape[1], image.shape[0])
        rows: dict[int, Float32] = {}
        if tracked:
            converted = detection_rows([person for _, person in tracked], self._detector.skeleton)
            rows = {id: row for (id, _), row in zip(tracked, converted, strict=True)}
        if self._repairs:  # before interpolating, so that no joint crosses the body
            detected = {id: self._sequence(row[None], size) for id, row in rows.items()}
            rows = {id: fixed.rows[0] for id, fixed in self._repairs.push(detected).items()}
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
