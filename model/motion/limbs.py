"""Limbs of constant length, as real ones are."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.keypoints.sequences import PoseSequence
from model.keypoints.skeleton import Skeleton

Float64 = NDArray[np.float64]

SWEEPS = 3
"""On real results, more bring joints less than 0.4 mm nearer on the mean."""


def constant_limbs(poses: PoseSequence) -> PoseSequence:
    """The poses whose bones have their median lengths that lie nearest to the given ones, by the
    sum of squared distances in each frame; the root stays.

    Bones are turned one after the other, each to its best direction while the others keep theirs
    (cyclic coordinate descent), starting from their own directions.
    """
    xyz = poses.xyz.astype(np.float64)
    bones = poses.skeleton.bones
    lengths_m = {c: float(np.median(_length(xyz[:, c] - xyz[:, p]))) for p, c in bones}
    found = np.repeat(xyz[:, [poses.skeleton.root]], xyz.shape[1], axis=1)
    for parent, child in bones:
        found[:, child] = found[:, parent] + _scaled(
            xyz[:, child] - xyz[:, parent], lengths_m[child]
        )
    for _ in range(SWEEPS):
        for parent, child in bones:
            limb = _limb(poses.skeleton, child)
            # where each of the limb's joints would have this bone's end
            wanted = xyz[:, limb] - found[:, limb] + found[:, [child]]
            bone = _scaled((wanted - found[:, [parent]]).sum(axis=1), lengths_m[child])
            found[:, limb] += (found[:, parent] + bone - found[:, child])[:, None]
    return replace(poses, xyz=found.astype(np.float32))


def _limb(skeleton: Skeleton, joint: int) -> list[int]:
    """The joint and all that hangs on it."""
    limb = [joint]
    for parent, child in skeleton.bones:
        if parent in limb:
            limb.append(child)
    return limb


def _length(bones: Float64) -> Float64:
    return np.linalg.norm(bones, axis=-1)


def _scaled(bones: Float64, length_m: float) -> Float64:
    """The same directions (T, 3) with this length; straight down where there is no direction."""
    length = _length(bones)[:, None]
    down = np.array((0.0, length_m, 0.0))
    return np.where(length > 0, bones * (length_m / np.where(length > 0, length, 1)), down)
