"""Frame rates above what a model was trained for: every k-th frame is lifted."""

from dataclasses import replace

import numpy as np
from scipy.interpolate import make_interp_spline

from model.lifter import Lifter, LiftOptions
from model.sequences import KeypointSequence, PoseSequence


def lift_thinned(
    lifter: Lifter, sequence: KeypointSequence, options: LiftOptions, stride: int
) -> PoseSequence:
    """A pose for each frame, of which the first, every `stride`-th after it and the last are
    lifted. In between joints move on straight lines, which shortens a bone that turns by angle a
    from one lifted frame to the next by at most 1 - cos(a/2)."""
    if stride == 1 or len(sequence) <= 2:
        return lifter.lift(sequence, options)
    last = len(sequence) - 1
    rows = np.append(np.arange(0, last, stride), last)
    lifted = lifter.lift(
        replace(
            sequence,
            xy=sequence.xy[rows],
            confidence=sequence.confidence[rows],
            fps=sequence.fps / stride,
        ),
        options,
    )
    line = make_interp_spline(rows, lifted.xyz, k=1, axis=0)
    return PoseSequence(line(np.arange(last + 1)).astype(np.float32), sequence.fps)
