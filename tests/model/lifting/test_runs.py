"""Long runs and high frame rates: block by block as at once, one pose a frame in any case."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model.lifting.runs import BLOCK_FRAMES, lift_run

from model.keypoints.sequences import KeypointSequence
from model.keypoints.skeleton import H36M17
from model.lifting.lifter import Lifter
from model.lifting.options import LiftOptions


@pytest.fixture(scope="module")
def lifter(weights_file: Path) -> Lifter:
    return Lifter.load(weights_file)


def walk(frames: int, fps: float) -> KeypointSequence:
    """A random figure that drifts and swings; nobody is seen for a while."""
    rng = np.random.default_rng(3)
    time = np.arange(frames)[:, None, None]
    xy = rng.uniform(200, 800, (1, 17, 2)) + 30 * np.sin(time / 9 + rng.uniform(0, 6, (1, 17, 2)))
    confidence = rng.uniform(0.2, 1, (frames, 17))
    confidence[BLOCK_FRAMES - 5 : BLOCK_FRAMES + 5] = 0
    return KeypointSequence(xy + time / 10, confidence, (1000, 1000), fps, H36M17)


@pytest.mark.parametrize(
    ("frames", "options"),
    [
        (1, LiftOptions()),
        (BLOCK_FRAMES + 3, LiftOptions()),
        (BLOCK_FRAMES + 40, LiftOptions(flip=True, focal_px=700, height_m=1.9)),
        (BLOCK_FRAMES + 40, LiftOptions("dense")),
    ],
)
def test_block_by_block_is_as_at_once(lifter: Lifter, frames: int, options: LiftOptions) -> None:
    sequence, told = walk(frames, 50), []
    found = lift_run(lifter, sequence, options, told.append)
    np.testing.assert_allclose(found.xyz, lifter.lift(sequence, options).xyz, atol=2e-6)
    assert sum(told) == frames


@pytest.mark.parametrize(("fps", "stride"), [(66, 1), (67, 2), (120, 2), (240, 4), (1000, 16)])
@pytest.mark.parametrize("frames", [1, 2, 30])
def test_every_kth_is_lifted_and_numpy_draws_the_rest(
    lifter: Lifter, fps: float, stride: int, frames: int
) -> None:
    sequence = walk(frames, fps)
    found = lift_run(lifter, sequence, LiftOptions(), lambda _: None)
    rows = np.unique([*range(0, frames, stride), frames - 1])
    lifted = lifter.lift(replace(sequence.pick(rows), fps=fps / stride)).xyz
    columns = lifted.reshape(len(rows), -1).T
    expected = [np.interp(np.arange(frames), rows, column) for column in columns]
    np.testing.assert_allclose(found.xyz.reshape(frames, -1).T, expected, atol=1e-6)
    assert (len(found), found.fps) == (frames, fps)
