"""The dense readout has no steps where windows meet, on the shipped weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model import KeypointSequence, Lifter, LiftOptions, VideoResult
from model.tracking.swaps import undo_swaps

Poses = NDArray[np.float32]
Seams = tuple[int, ...]

EDGE = 5
"""Frames left out at both ends, where there is no second window."""


@pytest.fixture(scope="module")
def lifter(weights_file: Path) -> Lifter:
    return Lifter.load(weights_file)


def velocity_steps(xyz: Poses) -> NDArray[np.float64]:
    """Poses (T, 17, 3) -> change of velocity at each frame (T,), mm/frame, mean over joints; NaN at
    both ends."""
    steps = np.linalg.norm(np.diff(xyz, n=2, axis=0), axis=-1).mean(axis=-1) * 1000
    return np.pad(steps, 1, constant_values=np.nan)


def seams_against_rest(
    lift: Callable[[KeypointSequence], Poses], motion: KeypointSequence, length: int, seams: Seams
) -> float:
    """Steps at seams / steps elsewhere. `seams` are counted from the first of `length` frames;
    lifting from every start makes each frame a seam in some runs and none in others."""
    starts = len(motion) - length + 1
    steps = np.full((starts, len(motion)), np.nan)
    at_seam = np.zeros(steps.shape, bool)
    for start in range(starts):
        rows = np.arange(start, start + length)
        steps[start, rows] = velocity_steps(lift(motion.pick(rows)))
        steps[start, rows[:EDGE]] = steps[start, rows[-EDGE:]] = np.nan
        at_seam[start, start + np.array(seams)] = True
    seam, rest = (np.where(at_seam == is_seam, steps, np.nan) for is_seam in (True, False))
    both = ~np.isnan(seam).all(axis=0) & ~np.isnan(rest).all(axis=0)
    return float(
        np.nanmean(seam[:, both], axis=0).mean() / np.nanmean(rest[:, both], axis=0).mean()
    )


def test_dense_readout_has_no_velocity_steps_at_seams(
    lifter: Lifter, real_result: VideoResult
) -> None:
    def blended(motion: KeypointSequence) -> Poses:
        return lifter.lift(motion, LiftOptions(readout="dense")).xyz

    for person in real_result.people:
        motion, _ = undo_swaps(person.keypoints)  # the detector's own jumps are no seams
        # of 45 frames, the windows are 0 to 26 and 18 to 44
        assert seams_against_rest(blended, motion, 45, (17, 18, 26, 27)) < 1.1


def test_measure_detects_seams_of_windows_that_are_not_blended(
    lifter: Lifter, real_result: VideoResult
) -> None:

    def joined(motion: KeypointSequence) -> Poses:
        prepared = lifter.prepare(motion)
        dense = lifter.run(prepared.inputs.reshape(2, 27, *prepared.inputs.shape[1:])).dense
        assert dense is not None
        return lifter.finish(dense.reshape(-1, 17, 3), prepared.rotation, None)

    motion = real_result.people[0].keypoints
    assert seams_against_rest(joined, motion, 54, (26, 27)) > 1.5
