"""Lifting a run of a video: in the memory of a block, at a frame rate that the model knows."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.interpolate import make_interp_spline

from model.keypoints.sequences import Float32, KeypointSequence, PoseSequence
from model.lifting.lifter import Lifter, LiftOptions
from model.lifting.passes import carry_out
from model.lifting.stream import LiftStream

BLOCK_FRAMES = 864
"""Lifted at once; their features take some kB a frame, a pose 204 bytes."""


def lift_run(
    lifter: Lifter,
    sequence: KeypointSequence,
    options: LiftOptions,
    lifted: Callable[[int], None],
) -> PoseSequence:
    """A pose for each frame. Above the trained frame rates the first frame, every k-th after it
    and the last are lifted; in between joints move on straight lines, which shortens a bone that
    turns by an angle a from one lifted frame to the next by at most 1 - cos(a/2).

    `lifted` is told of each block how many frames it stands for; what it raises ends the work.
    """
    stride, last = lifter.info.stride(sequence.fps), len(sequence) - 1
    rows = np.append(np.arange(0, last, stride), last)
    kept = replace(sequence.pick(rows), fps=sequence.fps / stride)
    xyz = _lift(lifter, kept, options, lambda count: lifted(count * stride))
    if len(rows) <= last:
        line = make_interp_spline(rows, xyz, k=1, axis=0)
        xyz = line(np.arange(last + 1)).astype(np.float32)
    return PoseSequence(xyz, sequence.fps)


def _lift(
    lifter: Lifter, sequence: KeypointSequence, options: LiftOptions, lifted: Callable[[int], None]
) -> Float32:
    count = len(sequence)
    if options.readout == "dense":  # blends windows across the whole run
        xyz = lifter.lift(sequence, options).xyz
        lifted(count)
        return xyz
    stream = LiftStream(lifter, options)
    parts = []
    for rows in np.split(np.arange(count), range(BLOCK_FRAMES, count, BLOCK_FRAMES)):
        parts.append(carry_out(stream.push(sequence.pick(rows)), lifter.run_pass))
        lifted(len(rows))
    parts.append(carry_out(stream.flush(), lifter.run_pass))
    return np.concatenate([part.final.xyz for part in parts])
