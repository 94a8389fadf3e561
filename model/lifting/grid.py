"""Frames at uneven times <-> an even grid: there they are lifted and filtered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.keypoints.sequences import MAX_FPS, Float32, Float64, Indices, KeypointSequence
from model.lifting.strides import interpolated
from model.tracking.tracks import between

EVEN_SHARE = 0.1
EVEN_S = 0.001
"""Times are even where none is off by more than this share of a step and a millisecond, to which
most files round."""
REGULAR = 0.5
"""A step that is off the median by more than this share is a pause, a lost or a late frame."""
MAX_POINTS = 4
"""A grid has at most so many points a frame: it is coarser where frames come in bursts."""
SAME = 0.02
"""A frame so near to a point of the grid, in steps, is taken for it; rates so near are the same."""


def frame_rate(times_s: Float64, default_fps: float) -> float:
    """Frames a second by their times (T,) s, rising: the mean of the steps near the median one, so
    that neither a pause nor a lost frame counts; `default_fps` for fewer than two frames."""
    steps = np.diff(times_s)
    if not len(steps):
        return default_fps
    median = np.median(steps)
    regular = steps[np.abs(steps - median) <= REGULAR * median]
    step_s = regular.mean() if len(regular) else median
    return float(min(1 / step_s, MAX_FPS))


@dataclass(frozen=True)
class EvenGrid:
    """Points every `step_s` from `start_s` on that cover the frames at times_s (T,)."""

    times_s: Float64
    start_s: float
    step_s: float

    @staticmethod
    def of(times_s: Float64, default_fps: float) -> "EvenGrid | None":
        """The grid of the frames' own rate; None where the frames are even already."""
        fps = frame_rate(times_s, default_fps)
        most = MAX_POINTS * len(times_s) / max(times_s[-1] - times_s[0], 1e-9)
        fps = min(fps, most)
        steps = (times_s - times_s[0]) * fps
        off = steps - np.arange(len(steps))
        if np.abs(off - np.median(off)).max() <= EVEN_SHARE + EVEN_S * fps:
            return None
        offset = np.median(steps - np.round(steps))
        return EvenGrid(times_s, float(times_s[0] + offset / fps), 1 / fps)

    @property
    def positions(self) -> Float64:
        """(T,): where the frames lie on the grid, in steps."""
        return (self.times_s - self.start_s) / self.step_s

    def __len__(self) -> int:
        return max(1, int(np.ceil(self.positions[-1] - SAME)) + 1)

    def keypoints(self, sequence: KeypointSequence) -> KeypointSequence:
        """The keypoints (T, J) of the frames, interpolated at the points of the grid. A joint
        that is not seen on both sides of a point is not seen there."""
        points, positions, rows = np.arange(len(self)), self.positions, sequence.rows
        after = np.clip(np.searchsorted(positions, points), 0, len(positions) - 1)
        before = np.maximum(after - 1, 0)
        step = np.maximum(positions[after] - positions[before], SAME)
        share = np.clip((points - positions[before]) / step, 0, 1)
        found = between(rows[before], rows[after], share)
        nearest = np.where(share < 0.5, before, after)
        near = np.abs(positions[nearest] - points) <= SAME
        found[near] = rows[nearest[near]]
        return replace(sequence, xy=found[..., :2], confidence=found[..., 2], fps=1 / self.step_s)

    def at_frames(self, values: Float32) -> Float32:
        """Values (n, J, C) at the points of the grid -> at the frames (T, J, C)."""
        return interpolated(np.arange(len(self)), values, self.positions)


@dataclass(frozen=True)
class Sampled:
    """One run of a person's keypoints at even times; grid is None where they were even already."""

    keypoints: KeypointSequence
    grid: EvenGrid | None

    @staticmethod
    def of(keypoints: KeypointSequence, rows: Indices, times_s: Float64 | None) -> "Sampled":
        """Rows of the keypoints, whose times are times_s (n,) s; None: even, at their rate."""
        run = keypoints.pick(rows)
        if times_s is None or len(rows) < 2:
            return Sampled(run, None)
        grid = EvenGrid.of(times_s[rows], run.fps)
        if grid is not None:
            return Sampled(grid.keypoints(run), grid)
        fps = frame_rate(times_s[rows], run.fps)
        same = abs(fps - run.fps) <= SAME * run.fps
        return Sampled(run if same else replace(run, fps=fps), None)


def at_frames(runs: Sequence[Sampled], parts: Sequence[Float32]) -> Float32:
    """Values (m, J, C) of each run -> those at the frames of all runs (n, J, C)."""
    return np.concatenate(
        [
            values if run.grid is None else run.grid.at_frames(values)
            for run, values in zip(runs, parts, strict=True)
        ]
    )
