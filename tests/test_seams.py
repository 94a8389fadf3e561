"""The dense readout joins windows where nobody can see it, on the weights that ship."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model import KeypointSequence, Lifter, LiftOptions, VideoResult
from model.repair import undo_swaps

Poses = NDArray[np.float32]


@pytest.fixture(scope="module")
def lifter(weights_file: Path) -> Lifter:
    return Lifter.load(weights_file)


def velocity_steps(xyz: Poses) -> NDArray[np.float64]:
    """Poses (T, 17, 3) -> by how much the velocity changes at each frame (T,), mean over the
    joints, mm a frame; NaN at both ends."""
    steps = np.linalg.norm(np.diff(xyz, n=2, axis=0), axis=-1).mean(axis=-1) * 1000
    return np.pad(steps, 1, constant_values=np.nan)


def seams_against_rest(
    lift: Callable[[KeypointSequence], Poses], motion: KeypointSequence, hop: int
) -> float:
    """How much larger the steps are at the seams, which lie `hop` frames apart from the first, than
    at the same frames where these are no seams: lifted from every start, each frame is both."""
    steps = np.full((hop, len(motion)), np.nan)
    at_seam = np.zeros(steps.shape, bool)
    for start in range(hop):
        later = replace(motion, xy=motion.xy[start:], confidence=motion.confidence[start:])
        steps[start, start:] = velocity_steps(lift(later))
        at_seam[start, start + hop :: hop] = True
    inside = slice(hop, len(motion) - hop)
    steps, at_seam = steps[:, inside], at_seam[:, inside]
    seams = np.nanmean(np.where(at_seam, steps, np.nan), axis=0)
    rest = np.nanmean(np.where(at_seam, np.nan, steps), axis=0)
    return float(seams.mean() / rest.mean())


def test_no_step_in_velocity_at_the_seams(lifter: Lifter, real_result: VideoResult) -> None:
    def blended(motion: KeypointSequence) -> Poses:
        return lifter.lift(motion, LiftOptions(readout="dense")).xyz

    for person in real_result.people:
        motion, _ = undo_swaps(person.keypoints)  # the detector's own jumps are no seams
        assert seams_against_rest(blended, motion, lifter.window.past) < 1.1


def test_windows_end_to_end_would_show(lifter: Lifter, real_result: VideoResult) -> None:
    """The measure is a good one: it finds the seams of windows that are not blended."""

    def joined(motion: KeypointSequence) -> Poses:
        prepared = lifter.prepare(motion)
        half, length = lifter.window.past, lifter.frames
        windows = lifter.window.over(prepared.inputs, np.arange(half, len(motion) + half, length))
        dense = lifter.run(windows).dense
        assert dense is not None
        xyz = dense.reshape(-1, 17, 3)[: len(motion)]
        return lifter.finish(xyz, prepared.rotation, None)

    motion = real_result.people[0].keypoints
    assert seams_against_rest(joined, motion, lifter.frames) > 1.5
