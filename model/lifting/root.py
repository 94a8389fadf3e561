"""Where a person's pelvis is in front of the camera: the place from which their pose projects onto
their keypoints."""

from math import pi, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from model.keypoints.sequences import Float32, KeypointSequence, PoseSequence
from model.lifting.camera import MAX_RAY, MIN_SEEN, pixels_to_rays

Float64 = NDArray[np.float64]

ACROSS_HZ = 6.0
"""What is faster in the picture is the detector's noise, as for poses (model.smoothing)."""
ALONG_HZ = 1.0
"""A depth is known far less well than a place in the picture; docs/world.md has the measurement."""
STEPS = 15
"""Of Gauss and Newton; more move real roots by less than a tenth of a millimetre."""
WRONG = 3.0
"""A joint so many times further off than the frame's median is as good as left out."""
EXACT = 1e-12
"""Errors (rays) below which joints are not told apart."""
DEPTH_M = (0.1, 1000.0)
BODY_M = 1.7
"""Somebody who was never seen well enough is put where so much fills the picture's longer side."""
GUESSED = 1e-3
"""The weight of what stands in for a frame with too few joints."""


def focal_or_assumed(focal_px: float | None, image_size: tuple[int, int]) -> float:
    """The focal length that is taken where none is given: the picture's longer side."""
    return float(max(image_size) if focal_px is None else focal_px)


def root_track(poses: PoseSequence, keypoints: KeypointSequence, focal_px: float) -> Float32:
    """The pelvis (T, 3) m in camera axes, for one run of frames: poses relative to it, and the
    H36M-17 keypoints that they were lifted from.

    Each frame on its own first, then smoothed over time, without lag: across the line of sight as
    poses are, along it harder. A frame with fewer than four joints seen lies between its
    neighbours.
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
    """The roots (T, 3) m from which poses xyz (T, J, 3) m, relative to their roots, project nearest
    to rays (T, J, 2), each frame on its own; weights (T, J), at least two of them above 0.

    Weighted least squares on the reprojection: Gauss-Newton from the linear solution. Joints are
    weighed down by how far off they are (Geman and McClure, "Bayesian image analysis", 1985), in
    the frame's own median errors.
    """
    pose = np.asarray(xyz, np.float64)
    roots = linear_roots(pose, rays, weights)
    for _ in range(STEPS):
        roots[:, 2] = np.clip(roots[:, 2], *DEPTH_M)
        placed = pose + roots[:, None]
        depth = np.maximum(placed[..., 2:], DEPTH_M[0])
        seen_at = placed[..., :2] / depth
        trusted = weights * _trust(np.linalg.norm(rays - seen_at, axis=-1), weights)
        roots += _solved(seen_at, seen_at - rays, trusted, depth)
    roots[:, 2] = np.clip(roots[:, 2], *DEPTH_M)
    return roots


def linear_roots(xyz: NDArray[np.floating[Any]], rays: Float64, weights: Float64) -> Float64:
    """As root_positions, near enough and without a step: X + t_x = r_x (Z + t_z), and likewise for
    Y, in weighted least squares, so that joints count by their depth. A frame needs one weight
    above 0."""
    pose = np.asarray(xyz, np.float64)
    return _solved(rays, pose[..., :2] - rays * pose[..., 2:], weights, 1.0)


def _trust(error: Float64, weights: Float64) -> Float64:
    """How far to believe joints with errors (T, J)."""
    typical = np.nanmedian(np.where(weights > 0, error, np.nan), axis=1, keepdims=True)
    share: Float64 = error / (WRONG * np.maximum(typical, EXACT))
    return 1 / (1 + share**2) ** 2


def _solved(at: Float64, off: Float64, weights: Float64, depth: Float64 | float) -> Float64:
    """The shifts (T, 3) that take rays at `at` nearest to at - off, for points at `depth`: (t_x -
    x t_z) / depth = -off_x and likewise for y, by weighted normal equations."""
    x, y = at[..., 0], at[..., 1]
    unit, nothing = np.ones_like(x), np.zeros_like(x)
    columns = np.stack([[unit, nothing], [nothing, unit], [-x, -y]])  # (3, 2, T, J)
    rows = np.moveaxis(columns, (0, 1), (-1, -2)) / np.asarray(depth)[..., None]  # (T, J, 2, 3)
    normal = np.einsum("tj,tjai,tjak->tik", weights, rows, rows)
    right = -np.einsum("tj,tjai,tja->ti", weights, rows, off)
    # joints that all lie in one place leave the depth open
    normal += 1e-14 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    return np.linalg.solve(normal, right[..., None])[..., 0]


def _smoothed(roots: Float64, known: NDArray[np.bool_], fps: float) -> Float64:
    """Roots (n, 3) of the known frames (T,), n of them -> (T, 3), filtered in the coordinates of
    the picture: x and y of the ray, and the logarithm of the depth."""
    x, y, depth = roots.T
    frames, there = np.arange(len(known)), np.flatnonzero(known)
    weights = np.where(known, 1.0, GUESSED)
    picture = [x / depth, y / depth, np.log(depth)]
    held = np.stack([np.interp(frames, there, values) for values in picture], axis=1)
    across = steadied(held[:, :2], weights, ACROSS_HZ / fps)
    along = np.exp(steadied(held[:, 2:], weights, ALONG_HZ / fps))
    return np.concatenate([across * along, along], axis=1)


def steadied(values: Float64, weights: Float64, cutoff: float) -> Float64:
    """A smooth curve near values (T, n), by weights (T,), without lag; it leaves half of what turns
    `cutoff` times a frame.

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
