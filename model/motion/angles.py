"""Joint angles: flexion, abduction, elevation, lean, twist. docs/angles.md defines each."""

import numpy as np
from numpy.typing import NDArray

from model.keypoints.sequences import SPACES, PoseSequence
from model.keypoints.skeleton import H36M17

Float64 = NDArray[np.float64]

_SIDE_ANGLES = (
    *("knee_flexion", "hip_flexion", "hip_abduction", "elbow_flexion"),
    *("shoulder_flexion", "shoulder_abduction", "shoulder_elevation"),
)
ANGLES = (
    *(f"{side}_{angle}" for side in ("left", "right") for angle in _SIDE_ANGLES),
    *("trunk_lean", "trunk_lateral_lean", "trunk_twist"),
)
UPWARDS = {space: np.array((0.0, 1.0 if space == "world" else -1.0, 0.0)) for space in SPACES}
"""Up axis of each space; in camera axes it assumes an upright camera."""
MIN_SAGITTAL = 0.17
"""Flexion is undefined for a limb within ten degrees of straight sideways."""


def joint_angles(poses: PoseSequence) -> Float64:
    """(T, A) degrees in the order of ANGLES; NaN where an angle is undefined.

    trunk_lean and trunk_lateral_lean are relative to the up axis of the poses' space; all others do
    not depend on the camera.
    """
    columns = [angle for side in ("left", "right") for angle in _of_side(poses, side)]
    return np.degrees(np.stack([*columns, *_of_trunk(poses)], axis=1))


def _of_side(poses: PoseSequence, side: str) -> list[Float64]:
    thigh = _direction(poses, f"{side}_hip", f"{side}_knee")
    shank = _direction(poses, f"{side}_knee", f"{side}_ankle")
    upper_arm = _direction(poses, f"{side}_shoulder", f"{side}_elbow")
    forearm = _direction(poses, f"{side}_elbow", f"{side}_wrist")
    trunk = _direction(poses, "hip", "thorax")
    return [
        _between(thigh, shank),
        *_flexion_and_abduction(thigh, trunk, _across(poses, "hip"), side),
        _between(upper_arm, forearm),
        *_flexion_and_abduction(upper_arm, trunk, _across(poses, "shoulder"), side),
        _between(upper_arm, -trunk),
    ]


def _of_trunk(poses: PoseSequence) -> list[Float64]:
    trunk, hips = _direction(poses, "hip", "thorax"), _across(poses, "hip")
    up = UPWARDS[poses.space]
    left = _unit(hips - up * (hips @ up)[:, None])
    forward = np.cross(left, up)
    return [
        np.arctan2(_dot(trunk, forward), trunk @ up),
        np.arcsin(np.clip(_dot(trunk, left), -1, 1)),
        _turn(hips, _across(poses, "shoulder"), trunk),
    ]


def _flexion_and_abduction(
    limb: Float64, trunk: Float64, across: Float64, side: str
) -> tuple[Float64, Float64]:
    """Flexion (forward) and abduction (to its own side) of a limb, (T,) rad each, in body axes: y
    along the trunk, x the part of `across` (right to left) perpendicular to it."""
    left = _unit(across - trunk * _dot(across, trunk)[:, None])
    forward = np.cross(left, trunk)
    ahead, down, out = _dot(limb, forward), -_dot(limb, trunk), _dot(limb, left)
    sagittal = np.hypot(ahead, down)
    flexion = np.where(sagittal > MIN_SAGITTAL, np.arctan2(ahead, down), np.nan)
    return flexion, np.arctan2(out if side == "left" else -out, sagittal)


def _turn(start: Float64, end: Float64, axis: Float64) -> Float64:
    """The angle (T,) rad from `start` to `end`, (T, 3), about `axis` by the right-hand rule."""
    sine = _dot(np.cross(start, end), axis)
    cosine = _dot(start, end) - _dot(start, axis) * _dot(end, axis)
    return np.where(np.hypot(sine, cosine) > 0, np.arctan2(sine, cosine), np.nan)


def _between(a: Float64, b: Float64) -> Float64:
    """The angle between two directions: (T, 3) -> (T,) rad, 0..pi."""
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), _dot(a, b))


def _direction(poses: PoseSequence, start: str, end: str) -> Float64:
    """The unit vector (T, 3) from joint `start` to joint `end`."""
    joints = poses.xyz.astype(np.float64)
    return _unit(joints[:, H36M17.index(end)] - joints[:, H36M17.index(start)])


def _across(poses: PoseSequence, joint: str) -> Float64:
    return _direction(poses, f"right_{joint}", f"left_{joint}")


def _dot(a: Float64, b: Float64) -> Float64:
    return np.einsum("ti,ti->t", a, b)


def _unit(vectors: Float64) -> Float64:
    """(T, 3) scaled to length 1; NaN where the length is 0."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, np.nan)
