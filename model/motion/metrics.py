"""Errors of predicted poses, as used everywhere in the project.

All take predicted and true joints (..., J, 3) in metres, relative to the pelvis, and return
millimetres unless stated otherwise. Protocols 1 to 3 are those of Human3.6M.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

PCK_THRESHOLD_MM = 150.0


def joint_errors(predicted: Floats, true: Floats) -> Floats:
    """Distance of each joint (..., J), mm."""
    return np.linalg.norm(predicted - true, axis=-1) * 1000


def mpjpe(predicted: Floats, true: Floats) -> float:
    """Mean per-joint position error (protocol 1): Ionescu et al., "Human3.6M", TPAMI 2014."""
    return float(joint_errors(predicted, true).mean())


def p_mpjpe(predicted: Floats, true: Floats) -> float:
    """MPJPE after the best similarity transform of each frame, without reflection (protocol 2)."""
    return mpjpe(procrustes(predicted, true), true)


def n_mpjpe(predicted: Floats, true: Floats) -> float:
    """MPJPE after the least-squares scale of each frame (protocol 3): Rhodin et al., "Unsupervised
    Geometry-Aware Representation for 3D Human Pose Estimation", ECCV 2018."""
    over = (predicted * true).sum(axis=(-2, -1), keepdims=True)
    under = np.maximum((predicted**2).sum(axis=(-2, -1), keepdims=True), 1e-12)
    return mpjpe(predicted * (over / under), true)


def mpjve(predicted: Floats, true: Floats, fps: float) -> float:
    """Mean per-joint velocity error of consecutive frames (T, J, 3), mm/s; steps from or to NaN in
    `true` are ignored. Pavllo et al., "3D human pose estimation in video ...", CVPR 2019."""
    errors = joint_errors(np.diff(predicted, axis=0), np.diff(true, axis=0))
    return float(np.nanmean(errors)) * fps


def pck(predicted: Floats, true: Floats, threshold_mm: float = PCK_THRESHOLD_MM) -> float:
    """Percentage of joints within the threshold."""
    return float((joint_errors(predicted, true) <= threshold_mm).mean() * 100)


def auc(predicted: Floats, true: Floats) -> float:
    """Mean PCK, percent, over the thresholds 0, 5, .. 150 mm: Mehta et al., "Monocular 3D Human
    Pose Estimation in the Wild Using Improved CNN Supervision", 3DV 2017."""
    errors = joint_errors(predicted, true)
    return float(np.mean([(errors <= limit).mean() for limit in range(0, 151, 5)]) * 100)


def procrustes(predicted: Floats, true: Floats) -> Floats:
    """Each frame's prediction rotated, scaled and shifted onto the truth by least squares, without
    reflection: (..., J, 3) m. Umeyama, "Least-squares estimation of transformation parameters
    between two point patterns", 1991, equations 40-42."""
    true_mean = true.mean(axis=-2, keepdims=True)
    x = predicted - predicted.mean(axis=-2, keepdims=True)
    y = true - true_mean
    u, s, vt = np.linalg.svd(np.swapaxes(x, -1, -2) @ y)
    sign = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)
    s[..., -1] *= sign
    u[..., -1] *= sign[..., None]
    size = np.maximum((x**2).sum(axis=(-2, -1)), 1e-12)
    scale = (s.sum(axis=-1) / size)[..., None, None]
    return scale * (x @ (u @ vt)) + true_mean
