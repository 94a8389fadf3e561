"""Joint positions -> an animated skeleton: rigid bones with a rotation in each frame.

Joints determine where a bone points, not its rotation about its own axis (twist). The lines of hips
and shoulders give the twist of pelvis and thorax; every other bone takes the shortest rotation from
its rest direction, relative to its parent, and so has no twist. That is undefined only opposite to
the rest direction, so at rest the arms point down and out: no arm can reach the opposite.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from model.formats.trajectory import Float64, y_up
from model.keypoints.skeleton import H36M17
from model.motion.limbs import constant_limbs
from model.video.results import PersonMotion


@dataclass(frozen=True)
class Node:
    """A node at `joint` that rotates the bone to `aim`; aim is None at the end of a limb. The line
    between the joints `across` determines the twist."""

    name: str
    parent: str | None
    joint: str
    aim: str | None
    across: tuple[str, str] | None = None


def _leg(side: str) -> tuple[Node, ...]:
    """Its base node is at the pelvis, since hips and spine rotate independently."""
    hip, knee, ankle = f"{side}_hip", f"{side}_knee", f"{side}_ankle"
    return (
        Node(f"{hip}_base", "hip", "hip", hip),
        Node(hip, f"{hip}_base", hip, knee),
        Node(knee, hip, knee, ankle),
        Node(ankle, knee, ankle, None),
    )


def _arm(side: str) -> tuple[Node, ...]:
    shoulder, elbow, wrist = f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist"
    return (
        Node(f"{shoulder}_base", "thorax", "thorax", shoulder),
        Node(shoulder, f"{shoulder}_base", shoulder, elbow),
        Node(elbow, shoulder, elbow, wrist),
        Node(wrist, elbow, wrist, None),
    )


NODES = (
    Node("hip", None, "hip", "spine", across=("right_hip", "left_hip")),
    *_leg("right"),
    *_leg("left"),
    Node("spine", "hip", "spine", "thorax"),
    Node("thorax", "spine", "thorax", "neck_nose", across=("right_shoulder", "left_shoulder")),
    Node("neck_nose", "thorax", "neck_nose", "head"),
    Node("head", "neck_nose", "head", None),
    *_arm("left"),
    *_arm("right"),
)
"""Parents come before their children."""
INDEX = {node.name: index for index, node in enumerate(NODES)}
PARENTS = tuple(-1 if node.parent is None else INDEX[node.parent] for node in NODES)


@dataclass(frozen=True)
class RiggedMotion:
    """N nodes over T frames, in the axes of y_up: offsets (N, 3) m from the parent, in a rest pose
    that faces +z with arms half raised to the sides; root (T, 3) m; rotations (T, N, 4) relative
    to the parent as quaternions x, y, z, w without jumps of sign."""

    offsets: Float64
    root: Float64
    rotations: Float64


def rig(person: PersonMotion) -> RiggedMotion:
    """The person's frames, with bones of their median lengths."""
    xyz = y_up(constant_limbs(person.poses))
    absolute: list[Rotation] = []
    local: list[Float64] = []
    for node, parent in zip(NODES, PARENTS, strict=True):
        above = absolute[parent] if parent >= 0 else Rotation.identity(len(xyz))
        rotation = _rotation(node, above.inv(), xyz)
        absolute.append(above * rotation)
        local.append(rotation.as_quat())
    rotations = _without_jumps(np.stack(local, axis=1))
    return RiggedMotion(_offsets(xyz), xyz[:, H36M17.root], rotations)


def interpolated(
    motion: RiggedMotion, positions: Float64, frames: Float64 | NDArray[np.int64]
) -> RiggedMotion:
    """The motion, whose frames lie at `positions` (T,), at `frames` (n,): interpolated between
    them, and held before the first and after the last."""
    at = np.clip(np.asarray(frames, np.float64), positions[0], positions[-1])
    if len(positions) == 1:
        held = np.repeat(motion.rotations, len(at), axis=0)
        return RiggedMotion(motion.offsets, np.repeat(motion.root, len(at), axis=0), held)
    root = np.stack([np.interp(at, positions, axis) for axis in motion.root.T], axis=1)
    rotations = [
        Slerp(positions, Rotation.from_quat(node))(at).as_quat()
        for node in motion.rotations.transpose(1, 0, 2)
    ]
    return RiggedMotion(motion.offsets, root, _without_jumps(np.stack(rotations, axis=1)))


def rest_direction(joint: str) -> Float64:
    """The unit vector (3,) at rest of the bone that ends in `joint`."""
    out = float(joint.startswith("left_")) - float(joint.startswith("right_"))
    if joint.endswith(("knee", "ankle")):
        return np.array((0.0, -1.0, 0.0))
    if joint.endswith(("elbow", "wrist")):
        return np.array((out, -1.0, 0.0)) / sqrt(2)
    return np.array((out, 1.0 - abs(out), 0.0))


def _offsets(xyz: Float64) -> Float64:
    offsets = np.zeros((len(NODES), 3))
    for node, parent, offset in zip(NODES, PARENTS, offsets, strict=True):
        if parent >= 0:
            bone = _between(xyz, NODES[parent].joint, node.joint)
            offset += rest_direction(node.joint) * np.median(np.linalg.norm(bone, axis=-1))
    return offsets


def _rotation(node: Node, to_parent: Rotation, xyz: Float64) -> Rotation:
    """The node's rotations (T) relative to its parent."""
    if node.aim is None:
        return Rotation.identity(len(xyz))
    swing = _swing(rest_direction(node.aim), to_parent.apply(_between(xyz, node.joint, node.aim)))
    if node.across is None:
        return swing
    across = to_parent.apply(_between(xyz, *node.across))
    return swing * _twist(swing.inv().apply(across))


def _between(xyz: Float64, start: str, end: str) -> Float64:
    return xyz[:, H36M17.index(end)] - xyz[:, H36M17.index(start)]


def _swing(rest: Float64, bone: Float64) -> Rotation:
    """The shortest rotations from `rest` (3,) to the directions of `bone` (T, 3); the identity for
    zero vectors."""
    length = np.linalg.norm(bone, axis=-1, keepdims=True)
    towards = np.where(length > 0, bone / np.where(length > 0, length, 1), rest)
    axis, w = np.cross(rest, towards), 1 + towards @ rest
    # a rotation by 180 degrees has no shortest axis: use x, or y if x is the bone's own
    axis[w < 1e-12] = np.roll(np.abs(rest), 1)
    return Rotation.from_quat(np.concatenate([axis, w[:, None]], axis=1))


def _twist(across: Float64) -> Rotation:
    """The rotations about y that turn +x to the x-z direction of `across` (T, 3)."""
    return Rotation.from_rotvec(
        np.arctan2(-across[:, 2], across[:, 0])[:, None] * np.array((0.0, 1.0, 0.0))
    )


def _without_jumps(rotations: Float64) -> Float64:
    """Quaternions (T, N, 4) with the sign nearer to the previous frame: q and -q are the same
    rotation."""
    along = np.einsum("tnq,tnq->tn", rotations[1:], rotations[:-1])
    signs = np.cumprod(np.where(along < 0, -1.0, 1.0), axis=0)
    return np.concatenate([rotations[:1], rotations[1:] * signs[..., None]])
