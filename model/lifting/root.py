"""The root: the pelvis in camera axes, where a root-relative pose projects onto its keypoints."""

from math import pi, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from model.keypoints.sequences import Bools, Float32, Float64, KeypointSequence, PoseSequence
from model.lifting.camera import MAX_RAY, MIN_SEEN, pixels_to_rays

ACROSS_HZ = 6.0
"""Cutoff across the line of sight, as for poses (model.motion.smoothing): the rest is noise."""
ALONG_HZ = 1.0
"""Cutoff of the depth, which is far less exact; docs/world.md has the measurement."""
STEPS = 15
"""Gauss-Newton steps; more move real roots by less than 0.1 mm."""
WRONG = 3.0
"""Errors of this many medians of the frame get a quarter of the weight."""
EXACT = 1e-12
"""Lower limit of the median error, in rays."""
DEPTH_M = (0.1, 1000.0)
BODY_M = 1.7
"""Without any good frame, the depth is that where this length fills the image's longer side."""
GUESSED = 1e-3
"""The weight of interpolated roots of frames with too few joints."""


def focal_or_assumed(focal_px: float | None, image_size: tuple[int, int]) -> float:
    """The focal length, px; None is taken to be the image's longer side."""
    return float(max(image_size) if focal_px is None else focal_px)


def root_track(poses: PoseSequence, keypoints: KeypointSequence, focal_px: float) -> Float32:
    """The root (T, 3) m in camera axes, from consecutive root-relative poses and the H36M-17
    keypoints that they were lifted from.

    Each frame is solved alone, then all are smoothed over time without lag, the depth most. Frames
    with fewer than MIN_SEEN seen joints are interpolated.
    """
    size = np.array(keypoints.image_size, np.float64)
    rays = pixels_to_rays(keypoints.xy.astype(np.float64), size, np.float64(focal_px))
    rays = np.clip(rays, -MAX_RAY, MAX_RAY)
    weights = keypoints.confidence.astype(np.float64)
    known = np.count_nonzero(weights > 0, axis=1) >= MIN_SEEN
    weights /= np.maximum(weights.max(axis=1, keepdims=True), np.finfo(float).tiny)
    if not known.any():
        ahead = np.array((0, 0, BODY_M * focal_px / size.max()), np.float32)
        return np.repeat(ahead[None], len(rays), axis=0)
    roots = root_positions(poses.xyz[known], rays[known], weights[known])
    return _smoothed(roots, known, poses.fps).astype(np.float32)


def root_positions(xyz: NDArray[np.floating[Any]], rays: Float64, weights: Float64) -> Float64:
    """The roots (T, 3) m with the least reprojection error of root-relative poses xyz (T, J, 3) m
    to rays (T, J, 2), each frame alone; weights (T, J), at least two per frame above 0.

    Gauss-Newton from the linear solution, with the robust weights of Geman and McClure ("Bayesian
    image analysis", 1985) in units of the frame's median error.
    """
    pose = np.asarray(xyz, np.float64)
    roots = linear_roots(pose, rays, weights)
    for _ in range(STEPS):
        roots[:, 2] = np.clip(roots[:, 2], *DEPTH_M)
        placed = pose + roots[:, None]
        depth = np.maximum(placed[..., 2:], DEPTH_M[0])
        projected = placed[..., :2] / depth
        robust = weights * _robust_weights(np.linalg.norm(rays - projected, axis=-1), weights)
        roots += _solved(projected, projected - rays, robust, depth)
    roots[:, 2] = np.clip(roots[:, 2], *DEPTH_M)
    return roots


def linear_roots(xyz: NDArray[np.floating[Any]], rays: Float64, weights: Float64) -> Float64:
    """An approximation of root_positions in closed form: weighted least squares of X + t_x =
    r_x (Z + t_z), and likewise for Y. A frame needs one weight above 0."""
    pose = np.asarray(xyz, np.float64)
    return _solved(rays, pose[..., :2] - rays * pose[..., 2:], weights, 1.0)


def _robust_weights(error: Float64, weights: Float64) -> Float64:
    """Weights (T, J) of joints with errors (T, J)."""
    typical = np.nanmedian(np.where(weights > 0, error, np.nan), axis=1, keepdims=True)
    share: Float64 = error / (WRONG * np.maximum(typical, EXACT))
    return 1 / (1 + share**2) ** 2


def _solved(at: Float64, off: Float64, weights: Float64, depth: Float64 | float) -> Float64:
    """The shifts t (T, 3) that move the rays `at` of points at `depth` by -off: (t_x - x t_z) /
    depth = -off_x and likewise for y, by weighted normal equations."""
    x, y = at[..., 0], at[..., 1]
    one, zero = np.ones_like(x), np.zeros_like(x)
    columns = np.stack([[one, zero], [zero, one], [-x, -y]])  # (3, 2, T, J)
    rows = np.moveaxis(columns, (0, 1), (-1, -2)) / np.asarray(depth)[..., None]  # (T, J, 2, 3)
    normal = np.einsum("tj,tjai,tjak->tik", weights, rows, rows)
    right = -np.einsum("tj,tjai,tja->ti", weights, rows, off)
    # without this the matrix is singular if all joints are at one point
    normal += 1e-14 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    return np.linalg.solve(normal, right[..., None])[..., 0]


def _smoothed(roots: Float64, known: Bools, fps: float) -> Float64:
    """Roots (n, 3) of the n known frames (T,) -> smoothed roots (T, 3). The filter works on the x
    and y of the ray and on the logarithm of the depth."""
    x, y, depth = roots.T
    frames, known_frames = np.arange(len(known)), np.flatnonzero(known)
    weights = np.where(known, 1.0, GUESSED)
    columns = [x / depth, y / depth, np.log(depth)]
    filled = np.stack([np.interp(frames, known_frames, column) for column in columns], axis=1)
    across = steadied(filled[:, :2], weights, ACROSS_HZ / fps)
    along = np.exp(steadied(filled[:, 2:], weights, ALONG_HZ / fps))
    return np.concatenate([across * along, along], axis=1)


def steadied(values: Float64, weights: Float64, cutoff: float) -> Float64:
    """Smooth values (T, n) with weights (T,), without lag; the gain is 1/2 at `cutoff` cycles per
    frame.

    Eilers, "A perfect smoother", Anal. Chem. 75 (2003), with second differences, whose gain is
    1 / (1 + stiffness * (2 sin(pi f))^4).
    """
    if len(values) < 3 or cutoff >= 0.5:
        return values
    stiffness = (2 * sin(pi * cutoff)) ** -4.0
    bands = np.zeros((3, len(values)))
    bands[0] = weights
    for offset, step in enumerate((1.0, -2.0, 1.0)):
        for other, more in enumerate((1.0, -2.0, 1.0)):
            if other <= offset:
                bands[offset - other, other : len(values) - 2 + other] += stiffness * step * more
    smooth: Float64 = solveh_banded(bands, weights[:, None] * values, lower=True)
    return smooth
