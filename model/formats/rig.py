"""Joints in space -> a skeleton that turns: rigid bones, and a rotation for each in each frame.

Joints say where a bone points, not how it is turned about itself. The pelvis and the thorax are
turned fully, by the line of the hips and of the shoulders; every other bone turns from its rest
pose the shortest way, seen from the bone before it, so that none spins about itself. That way is
ill defined half a turn from rest alone, so at rest the arms point to where no arm can reach the
opposite: down and out.
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
    """A turning point at `joint`, on which the bone to `aim` hangs; None at the end of a limb.
    `across` are two joints whose line settles the turn about that bone."""

    name: str
    parent: str | None
    joint: str
    aim: str | None
    across: tuple[str, str] | None = None


def _leg(side: str) -> tuple[Node, ...]:
    """From the pelvis, with a node of its own there, since hips and spine turn apart."""
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
    """N nodes over T frames, in the axes of y_up: offsets (N, 3) m from the parent, at rest the
    person stands with arms half raised to the sides and looks along +z; root (T, 3) m; rotations
    (T, N, 4) to the parent as quaternions x, y, z, w without jumps of sign."""

    offsets: Float64
    root: Float64
    rotations: Float64


def rig(person: PersonMotion) -> RiggedMotion:
    """The person in the frames in which they were seen, with bones of their median lengths."""
    xyz = y_up(constant_limbs(person.poses))
    turned: list[Rotation] = []
    local: list[Float64] = []
    for node, parent in zip(NODES, PARENTS, strict=True):
        before = turned[parent] if parent >= 0 else Rotation.identity(len(xyz))
        turn = _turn(node, before.inv(), xyz)
        turned.append(before * turn)
        local.append(turn.as_quat())
    rotations = _without_jumps(np.stack(local, axis=1))
    return RiggedMotion(_offsets(xyz), xyz[:, H36M17.root], rotations)


def bridged(motion: RiggedMotion, frames: NDArray[np.int64]) -> RiggedMotion:
    """The motion on every frame from first to last, interpolated where `frames` (T,) leave some
    out."""
    if len(frames) == frames[-1] - frames[0] + 1:
        return motion
    every = np.arange(frames[0], frames[-1] + 1)
    root = np.stack([np.interp(every, frames, axis) for axis in motion.root.T], axis=1)
    rotations = [
        Slerp(frames, Rotation.from_quat(node))(every).as_quat()
        for node in motion.rotations.transpose(1, 0, 2)
    ]
    return RiggedMotion(motion.offsets, root, _without_jumps(np.stack(rotations, axis=1)))


def rest_direction(joint: str) -> Float64:
    """Where the bone that ends in `joint` points at rest, as a unit vector: (3,)."""
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


def _turn(node: Node, to_parent: Rotation, xyz: Float64) -> Rotation:
    """The node's rotation, seen from its parent."""
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
    """The shortest rotations from `rest` (3,) to the directions of `bone` (T, 3); none where the
    bone has no length."""
    length = np.linalg.norm(bone, axis=-1, keepdims=True)
    towards = np.where(length > 0, bone / np.where(length > 0, length, 1), rest)
    axis, share = np.cross(rest, towards), 1 + towards @ rest
    # half a turn has no shortest way: it goes about x, or y where x is the bone's own
    axis[share < 1e-12] = np.roll(np.abs(rest), 1)
    return Rotation.from_quat(np.concatenate([axis, share[:, None]], axis=1))


def _twist(across: Float64) -> Rotation:
    """The rotations about y that turn +x to where `across` (T, 3) points, seen along y."""
    return Rotation.from_rotvec(
        np.arctan2(-across[:, 2], across[:, 0])[:, None] * np.array((0.0, 1.0, 0.0))
    )


def _without_jumps(rotations: Float64) -> Float64:
    """A quaternion and its negative are one rotation; of the two, the one nearer to the frame
    before. (T, N, 4)"""
    along = np.einsum("tnq,tnq->tn", rotations[1:], rotations[:-1])
    signs = np.cumprod(np.where(along < 0, -1.0, 1.0), axis=0)
    return np.concatenate([rotations[:1], rotations[1:] * signs[..., None]])
