"""BVH, for Blender and other animation tools: one person as an animated skeleton."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from model.formats.rig import NODES, Node, RiggedMotion, interpolated, rest_direction, rig
from model.formats.trajectory import Float64, grid_of
from model.video.results import PersonMotion


def write_bvh(person: PersonMotion, duration_s: float, path: Path) -> None:
    """Metres, Y up, degrees; as long as the video. Where the person is missing, the motion is
    interpolated, or held at either end. Joints are where constant_limbs puts them."""
    frames, positions = grid_of(person, duration_s)
    motion = interpolated(rig(person), positions, frames)
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write("HIERARCHY\n")
        file.writelines(f"{line}\n" for line in _hierarchy(motion.offsets))
        file.write(f"MOTION\nFrames: {len(motion.root)}\nFrame Time: {1 / person.poses.fps:.10f}\n")
        for root, angles in zip(motion.root, _angles(motion), strict=True):
            row = [f"{axis:.6f}" for axis in root] + [f"{angle:.4f}" for angle in angles]
            file.write(" ".join(row) + "\n")


def _hierarchy(offsets: Float64) -> Iterator[str]:
    """The lines of the HIERARCHY section; NODES are in its order, depth first."""
    open_nodes: list[str] = []
    for node, offset in zip(NODES, offsets, strict=True):
        while open_nodes and open_nodes[-1] != node.parent:
            open_nodes.pop()
            yield "  " * len(open_nodes) + "}"
        indent = "  " * len(open_nodes)
        open_nodes.append(node.name)
        yield indent + _title(node)
        yield indent + "{"
        yield f"{indent}  OFFSET {' '.join(f'{axis:.6f}' for axis in offset)}"
        if node.aim:
            yield f"{indent}  CHANNELS {_channels(node)}"
    yield from ("  " * depth + "}" for depth in reversed(range(len(open_nodes))))


def _title(node: Node) -> str:
    if node.aim is None:
        return "End Site"
    return f"JOINT {node.name}" if node.parent else f"ROOT {node.name}"


def _channels(node: Node) -> str:
    rotations = [f"{axis}rotation" for axis in _euler_order(node)]
    if node.parent:
        return f"3 {' '.join(rotations)}"
    return f"6 Xposition Yposition Zposition {' '.join(rotations)}"


def _euler_order(node: Node) -> str:
    """The axes of a node's Euler angles. Past 90 degrees of the middle one the other two flip, so
    it is the axis with the least rotation: the bone's own if it is vertical at rest."""
    upright = node.parent and node.aim and rest_direction(node.aim)[0] == 0
    return "ZYX" if upright else "ZXY"


def _angles(motion: RiggedMotion) -> Float64:
    """(T, 3 * nodes that rotate) degrees, without jumps of 360."""
    columns = [
        Rotation.from_quat(rotations).as_euler(
            _euler_order(node), degrees=True, suppress_warnings=True
        )
        for node, rotations in zip(NODES, motion.rotations.transpose(1, 0, 2), strict=True)
        if node.aim
    ]
    return np.unwrap(np.concatenate(columns, axis=1), period=360, axis=0)
