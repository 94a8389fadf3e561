"""World space: the up axis and the floor, estimated from the people in camera space.

The camera is assumed not to move. The up axis points from the feet to the trunk of standing people;
the floor is under the lowest feet. All people of a video share one world space.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.errors import UnknownName
from model.keypoints.sequences import SPACES, Float32, PoseSequence
from model.keypoints.skeleton import H36M17

Float64 = NDArray[np.float64]

PEOPLE_UPRIGHT = "the camera stands still, standing people are upright, the lowest feet stand"
CAMERA_UPRIGHT = "the camera stands still and is upright, the lowest feet stand"

CAMERA_UP = np.array((0.0, -1.0, 0.0))
STRETCHED = 0.8
"""Least distance from ankles to thorax of a standing person, as a share of the bones between; that
of a sitting person is smaller."""
MAX_BEND_DEG = 40.0
"""Largest angle between trunk and legs of a standing person."""
MAX_TILT_DEG = 60.0
"""A body further from the camera's up axis is taken for a lying person, not for a tilted camera."""
STANDING_SHARE = 0.1
"""Smallest share of frames with a standing person; fewer are taken for errors."""
FLOOR_QUANTILE = 0.25
"""Quantile of the lower ankle's height that determines the floor; measured in docs/world.md."""
ANKLE_M = 0.045
"""Height of that quantile above the floor, measured on recordings."""
MIN_DISTANCE = 1e-2
"""Lower bound, rad, of the distances in Weiszfeld's algorithm."""

_BONES = (("right_hip", "right_knee"), ("right_knee", "right_ankle"), ("hip", "thorax"))
_ANKLES = [H36M17.index("right_ankle"), H36M17.index("left_ankle")]
_THORAX = H36M17.index("thorax")


@dataclass(frozen=True)
class Room:
    """World axes: x right as the camera sees it, y up, z towards the camera, right-handed, m; the
    origin is on the floor below the camera.

    rotation (3, 3) from camera to world axes; camera_height_m above the floor; assumes is the
    assumption made: PEOPLE_UPRIGHT or CAMERA_UPRIGHT.
    """

    rotation: Float64
    camera_height_m: float
    assumes: str

    @property
    def offset(self) -> Float64:
        """The camera's position in the world: (3,) m."""
        return np.array((0.0, self.camera_height_m, 0.0))

    def to_world(self, xyz: Float64) -> Float64:
        """Camera axes (..., 3) m -> world."""
        return xyz @ self.rotation.T + self.offset

    def to_camera(self, xyz: Float64) -> Float64:
        """The inverse of to_world."""
        return (xyz - self.offset) @ self.rotation


def room_of(people: Sequence[tuple[PoseSequence, Float32]]) -> Room:
    """The world space of one or more people, each by root-relative poses and roots (T, 3) m in
    camera axes."""
    votes = np.concatenate([_standing(poses.xyz.astype(np.float64)) for poses, _ in people])
    frames = sum(len(poses) for poses, _ in people)
    enough = len(votes) >= STANDING_SHARE * frames
    up = _median_direction(votes) if enough else CAMERA_UP
    ankles = np.concatenate([poses.xyz[:, _ANKLES] + root[:, None] for poses, root in people])
    floor = np.quantile((ankles @ up).min(axis=1), FLOOR_QUANTILE) - ANKLE_M
    return Room(level(up), float(-floor), PEOPLE_UPRIGHT if enough else CAMERA_UPRIGHT)


def placed(poses: PoseSequence, root: Float32, room: Room | None, space: str) -> PoseSequence:
    """The poses converted to one of SPACES; root (T, 3) m in camera axes. Raises UnknownName."""
    if space not in SPACES:
        raise UnknownName("space", space, SPACES)
    if space == poses.space:
        return poses
    xyz = poses.xyz.astype(np.float64)
    if poses.space == "world" and room:
        xyz = room.to_camera(xyz)
    xyz = xyz - xyz[:, [poses.skeleton.root]]
    if space != "root":
        xyz = xyz + root[:, None]
    if space == "world" and room:
        xyz = room.to_world(xyz)
    return replace(poses, xyz=xyz.astype(np.float32), space=space)


def space_warnings(space: str, room: Room | None) -> list[str]:
    """Warnings about assumptions behind poses in this space."""
    if space == "world" and room and room.assumes == CAMERA_UPRIGHT:
        return ["nobody stands for long enough to estimate the up axis: the camera's is used"]
    return []


def _standing(xyz: Float64) -> Float64:
    """Unit vectors (n, 3) from ankles to thorax in the n of T frames in which the person stands."""
    ankles = xyz[:, _ANKLES].mean(axis=1)
    legs, trunk = xyz[:, H36M17.root] - ankles, xyz[:, _THORAX] - xyz[:, H36M17.root]
    body = legs + trunk
    length = np.linalg.norm(body, axis=1)
    standing = length > STRETCHED * _length_m(xyz)
    standing &= _angle(legs, trunk) < np.radians(MAX_BEND_DEG)
    standing &= _angle(body, CAMERA_UP) < np.radians(MAX_TILT_DEG)
    return body[standing] / length[standing, None]


def _length_m(xyz: Float64) -> float:
    """Median length from ankle to thorax along the bones, m."""
    starts, ends = ([H36M17.index(joint) for joint in side] for side in zip(*_BONES, strict=True))
    bones = np.linalg.norm(xyz[:, ends] - xyz[:, starts], axis=-1)
    return float(np.median(bones, axis=0).sum())


def _angle(a: Float64, b: Float64) -> Float64:
    sine = np.linalg.norm(np.cross(a, b), axis=-1)
    angle: Float64 = np.arctan2(sine, (a * b).sum(axis=-1))
    return angle


def _median_direction(votes: Float64) -> Float64:
    """The direction (3,) with the least sum of distances to votes (n, 3): the geometric median on
    the sphere, by Weiszfeld's algorithm."""
    median = _unit(np.median(votes, axis=0))
    for _ in range(20):
        weights = 1 / np.maximum(np.linalg.norm(votes - median, axis=1), MIN_DISTANCE)
        median = _unit(weights @ votes)
    return median


def level(up: Float64) -> Float64:
    """The rotation (3, 3) from camera axes to world axes with this up axis (3,) in camera axes."""
    back = np.array((0.0, 0.0, -1.0))
    towards = _unit(back - up * (up @ back))
    return np.stack([np.cross(up, towards), up, towards])


def _unit(vector: Float64) -> Float64:
    return vector / np.linalg.norm(vector)
