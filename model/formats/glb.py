"""GLB, binary glTF 2.0, for Blender, three.js and game engines: one person as an animated skeleton.

Section numbers are those of the glTF 2.0 specification of the Khronos Group.
"""

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.formats.rig import NODES, PARENTS, RiggedMotion, interpolated, rig
from model.formats.trajectory import Float64
from model.video.results import PersonMotion

COMPONENT_TYPES = {"uint8": 5121, "uint16": 5123, "float32": 5126}
"""Section 3.6.2.2."""
ELEMENT_TYPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
VERTICES, INDICES = 34962, 34963
"""Buffer view targets, section 5.11.5."""
MIN_HOLD_S = 0.001
"""A shorter hold of the last pose is a rounding of times."""
BONE_WIDTH = 0.1
"""Half the width of a bone's mesh, as a share of its length."""
_RING = ((1, 2), (2, 3), (3, 4), (4, 1))
FACES = (*((0, b, a) for a, b in _RING), *((5, a, b) for a, b in _RING))
"""Of a bone's mesh, whose vertices are its start, a ring of four, and its end."""


@dataclass
class _Buffer:
    """The binary chunk with its buffer views and accessors."""

    content: bytearray = field(default_factory=bytearray)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)

    def add(self, elements: NDArray[Any], target: int | None = None) -> int:
        """Append elements; returns the index of their accessor."""
        view = {"buffer": 0, "byteOffset": len(self.content), "byteLength": elements.nbytes}
        self.views.append(view | ({"target": target} if target else {}))
        self.content += elements.tobytes() + bytes(-elements.nbytes % 4)
        self.accessors.append(
            {
                "bufferView": len(self.views) - 1,
                "componentType": COMPONENT_TYPES[elements.dtype.name],
                "count": len(elements),
                "type": ELEMENT_TYPES[elements.shape[1:]],
                "min": np.atleast_1d(elements.min(axis=0)).ravel().tolist(),
                "max": np.atleast_1d(elements.max(axis=0)).ravel().tolist(),
            }
        )
        return len(self.accessors) - 1


def write_glb(person: PersonMotion, duration_s: float, path: Path) -> None:
    """Metres, Y up, keys at the true times of the person's frames and at the video's end. Joints
    are where constant_limbs puts them; bones carry a plain mesh."""
    times_s = person.times_s
    last_s = duration_s - 1 / person.poses.fps
    if last_s > times_s[-1] + MIN_HOLD_S:
        times_s = np.append(times_s, last_s)
    times_s = times_s[np.diff(times_s.astype(np.float32), prepend=-1) > 0]  # as keys must rise
    motion = interpolated(rig(person), person.times_s, times_s)
    buffer = _Buffer()
    document = {
        "asset": {"version": "2.0", "generator": "poselift"},
        "scene": 0,
        "scenes": [{"nodes": [0, len(NODES)]}],
        "nodes": [*_nodes(motion.offsets), {"name": f"person {person.id}", "mesh": 0, "skin": 0}],
        "meshes": [{"name": "bones", "primitives": [_bones(motion.offsets, buffer)]}],
        "skins": [_skin(motion.offsets, buffer)],
        "animations": [_animation(motion, times_s, buffer)],
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.content)}],
    }
    _write_container(document, buffer.content, path)


def _write_container(document: dict[str, Any], content: bytearray, path: Path) -> None:
    """A header and two chunks, section 4.4."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    with path.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(content)))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", len(content), b"BIN\0"))
        file.write(content)


def _nodes(offsets: Float64) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = [
        {"name": node.name, "translation": offset.tolist()}
        for node, offset in zip(NODES, offsets, strict=True)
    ]
    for child, parent in enumerate(PARENTS):
        if parent >= 0:
            nodes[parent].setdefault("children", []).append(child)
    return nodes


def _rest(offsets: Float64) -> Float64:
    """The nodes' positions at rest: (N, 3)."""
    positions = offsets.copy()
    for child, parent in enumerate(PARENTS):
        if parent >= 0:
            positions[child] += positions[parent]
    return positions


def _skin(offsets: Float64, buffer: _Buffer) -> dict[str, Any]:
    to_joints = np.repeat(np.eye(4, dtype=np.float32)[None], len(NODES), axis=0)
    # matrices are stored column by column, so the last row is the translation
    to_joints[:, 3, :3] = -_rest(offsets)
    return {
        "joints": list(range(len(NODES))),
        "skeleton": 0,
        "inverseBindMatrices": buffer.add(to_joints),
    }


def _bones(offsets: Float64, buffer: _Buffer) -> dict[str, Any]:
    """The mesh: a double pyramid for each bone, skinned to the node at its start."""
    starts = _rest(offsets) - offsets
    bones = [i for i in range(len(NODES)) if np.any(offsets[i])]
    vertices = np.concatenate(
        [_pyramids(starts[i], offsets[i]) for i in bones] or [np.zeros((6, 3))]
    )
    joints = np.zeros((len(vertices), 4), np.uint8)
    joints[:, 0] = np.repeat([PARENTS[i] for i in bones] or [0], 6)
    firsts = np.arange(0, len(vertices), 6)[:, None, None]
    return {
        "attributes": {
            "POSITION": buffer.add(vertices.astype(np.float32), VERTICES),
            "JOINTS_0": buffer.add(joints, VERTICES),
            "WEIGHTS_0": buffer.add(
                np.tile(np.array((1, 0, 0, 0), np.float32), (len(vertices), 1)), VERTICES
            ),
        },
        "indices": buffer.add((firsts + np.array(FACES)).astype(np.uint16).ravel(), INDICES),
    }


def _pyramids(start: Float64, bone: Float64) -> Float64:
    """Start, a ring of four, end: (6, 3). At rest all bones are in the x-y plane."""
    side = np.array((0, 0, BONE_WIDTH * np.linalg.norm(bone)))
    other = BONE_WIDTH * np.array((-bone[1], bone[0], 0))
    ring = start + 0.2 * bone + np.stack([side, -other, -side, other])
    return np.concatenate([[start], ring, [start + bone]])


def _animation(motion: RiggedMotion, times_s: Float64, buffer: _Buffer) -> dict[str, Any]:
    animated = [(0, "translation", motion.root)]
    animated += [
        (index, "rotation", motion.rotations[:, index])
        for index, node in enumerate(NODES)
        if node.aim
    ]
    times = buffer.add(times_s.astype(np.float32))
    return {
        "name": "motion",
        "samplers": [
            {"input": times, "output": buffer.add(values.astype(np.float32))}
            for _, _, values in animated
        ],
        "channels": [
            {"sampler": sampler, "target": {"node": node, "path": path}}
            for sampler, (node, path, _) in enumerate(animated)
        ],
    }
