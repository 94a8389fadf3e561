"""From camera axes to a room: which way is up, and where the floor is.

The camera is taken to stand still. Up is where standing people's heads are above their feet; the
floor lies under the lowest feet. One room holds all the people of a video, as they stand to each
other.
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
"""Who stands is at least so long from ankles to thorax, as a share of the bones between; who sits
is not."""
MAX_BEND_DEG = 40.0
"""Between trunk and legs of who stands."""
MAX_TILT_DEG = 60.0
"""Who is further from the camera's own upright lies, rather than that the camera does."""
STANDING_SHARE = 0.1
"""Less of all frames are rather mistakes than people who stand."""
FLOOR_QUANTILE = 0.25
"""Of the height of the lower ankle; docs/world.md has the measurement."""
ANKLE_M = 0.045
"""How high that quantile lies above the floor, measured on recordings."""
NEAR = 1e-2
"""Directions (rad) below which votes are not told apart."""

_REACH = (("right_hip", "right_knee"), ("right_knee", "right_ankle"), ("hip", "thorax"))
_ANKLES = [H36M17.index("right_ankle"), H36M17.index("left_ankle")]
_THORAX = H36M17.index("thorax")


@dataclass(frozen=True)
class Room:
    """World axes: x right as the camera sees it, y up, z towards the camera, right-handed, m; the
    origin lies on the floor below the camera.

    rotation (3, 3) turns camera axes to world axes; camera_height_m is the camera's over the floor;
    assumes says what that rests on: PEOPLE_UPRIGHT or CAMERA_UPRIGHT.
    """

    rotation: Float64
    camera_height_m: float
    assumes: str

    @property
    def offset(self) -> Float64:
        """Where the camera is: (3,) m."""
        return np.array((0.0, self.camera_height_m, 0.0))

    def to_world(self, xyz: Float64) -> Float64:
        """Camera axes (..., 3) m -> world."""
        return xyz @ self.rotation.T + self.offset

    def to_camera(self, xyz: Float64) -> Float64:
        """The inverse of to_world."""
        return (xyz - self.offset) @ self.rotation


def room_of(people: Sequence[tuple[PoseSequence, Float32]]) -> Room:
    """The room of one or more people, each by poses relative to the pelvis and roots (T, 3) m in
    camera axes."""
    votes = np.concatenate([_standing(poses.xyz.astype(np.float64)) for poses, _ in people])
    frames = sum(len(poses) for poses, _ in people)
    stand = len(votes) >= STANDING_SHARE * frames
    up = _middle_direction(votes) if stand else CAMERA_UP
    ankles = np.concatenate([poses.xyz[:, _ANKLES] + root[:, None] for poses, root in people])
    floor = np.quantile((ankles @ up).min(axis=1), FLOOR_QUANTILE) - ANKLE_M
    return Room(level(up), float(-floor), PEOPLE_UPRIGHT if stand else CAMERA_UPRIGHT)


def placed(poses: PoseSequence, root: Float32, room: Room | None, space: str) -> PoseSequence:
    """The poses in one of SPACES; root (T, 3) m in camera axes. Raises UnknownName."""
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
    """What was guessed of a place in the room."""
    if space == "world" and room and room.assumes == CAMERA_UPRIGHT:
        return ["nobody stands for long enough to tell which way is up: the camera's up was taken"]
    return []


def _standing(xyz: Float64) -> Float64:
    """From ankles to thorax, in the n of T frames in which a person stands: directions (n, 3)."""
    ankles = xyz[:, _ANKLES].mean(axis=1)
    legs, trunk = xyz[:, H36M17.root] - ankles, xyz[:, _THORAX] - xyz[:, H36M17.root]
    body = legs + trunk
    length = np.linalg.norm(body, axis=1)
    stands = length > STRETCHED * _reach(xyz)
    stands &= _angle(legs, trunk) < np.radians(MAX_BEND_DEG)
    stands &= _angle(body, CAMERA_UP) < np.radians(MAX_TILT_DEG)
    return body[stands] / length[stands, None]


def _reach(xyz: Float64) -> float:
    """From ankle to thorax along the bones, m."""
    starts, ends = ([H36M17.index(joint) for joint in side] for side in zip(*_REACH, strict=True))
    bones = np.linalg.norm(xyz[:, ends] - xyz[:, starts], axis=-1)
    return float(np.median(bones, axis=0).sum())


def _angle(one: Float64, other: Float64) -> Float64:
    across = np.linalg.norm(np.cross(one, other), axis=-1)
    angle: Float64 = np.arctan2(across, (one * other).sum(axis=-1))
    return angle


def _middle_direction(votes: Float64) -> Float64:
    """The direction (3,) with the least sum of distances to votes (n, 3): Weiszfeld's steps."""
    middle = _unit(np.median(votes, axis=0))
    for _ in range(20):
        near = 1 / np.maximum(np.linalg.norm(votes - middle, axis=1), NEAR)
        middle = _unit(near @ votes)
    return middle


def level(up: Float64) -> Float64:
    """The rotation (3, 3) from camera axes to those of a level camera that looks the same way."""
    back = np.array((0.0, 0.0, -1.0))
    towards = _unit(back - up * (up @ back))
    return np.stack([np.cross(up, towards), up, towards])


def _unit(vector: Float64) -> Float64:
    return vector / np.linalg.norm(vector)
