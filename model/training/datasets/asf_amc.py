"""Acclaim's ASF (skeleton) and AMC (motion) files, as used by CMU.

The format: J. Lander, "Working with Motion Capture File Formats", Game Developer, January 1998. A
bone rotates about its own axes, which the file gives as constant world angles: rotation =
C M C^-1, where C are the axes and M the angles of the frame. No maintained library reads these
files; only the part of the format that CMU uses is implemented.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from model.errors import InvalidInput

Floats = NDArray[np.floating[Any]]

INCH_M = 0.0254
_AXES = ("rx", "ry", "rz")
_ROOT = ["TX", "TY", "TZ", "RX", "RY", "RZ"]


@dataclass(frozen=True)
class Bone:
    """offset (3,) from start to end at angle 0, in the file's units; rotation axes; and the angles
    that are animated, of rx, ry, rz."""

    offset: Floats
    axes: Rotation
    moving: tuple[str, ...]


@dataclass(frozen=True)
class Body:
    """A person's bones, the parent of each (parents first; the first is "root"), and metres per
    unit of length."""

    bones: dict[str, Bone]
    parents: dict[str, str]
    metres: float


def read_asf(path: Path) -> Body:
    """Raises InvalidInput naming the file and the fault."""
    sections = _sections(path)
    try:
        units = {words[0]: words[1] for words in sections["units"]}
        if units["angle"] != "deg":
            raise ValueError(f"angles must be in deg, got {units['angle']}")
        _check_root({words[0]: words[1:] for words in sections["root"]})
        bones = dict(_bone(lines) for lines in _blocks(sections["bonedata"]))
        parents = _parents(sections["hierarchy"], bones)
        return Body(bones, parents, INCH_M / float(units["length"]))
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise InvalidInput(f"{path}: not a readable ASF file ({_message(error)})") from error


def read_amc(path: Path, body: Body) -> dict[str, Floats]:
    """Bone -> animated angles (T, n) in degrees, and "root" (T, 6): position in the file's units,
    then angles. Raises InvalidInput naming the file and the fault."""
    expected = {name: len(bone.moving) for name, bone in body.bones.items() if bone.moving}
    rows: dict[str, list[list[float]]] = {name: [] for name in ("root", *expected)}
    frames = 0
    try:
        for line in path.read_text(encoding="latin-1").splitlines():
            words = line.split()
            if not words or words[0][0] in "#:":
                continue
            if len(words) == 1 and words[0].isdigit():
                frames += 1
            else:
                rows[words[0]].append([float(word) for word in words[1:]])
        if not frames:
            raise ValueError("there are no frames")
        return {
            name: _channel(name, values, frames, expected.get(name, len(_ROOT)))
            for name, values in rows.items()
        }
    except (OSError, KeyError, ValueError) as error:
        raise InvalidInput(f"{path}: not a readable AMC file ({_message(error)})") from error


def bone_ends(body: Body, channels: dict[str, Floats]) -> dict[str, Floats]:
    """Positions of the end of each bone, and of "root": (T, 3) m, Y up."""
    root = channels["root"]
    ends = {"root": root[:, :3]}
    turns = {"root": Rotation.from_euler("xyz", root[:, 3:], degrees=True)}
    for name, parent in body.parents.items():
        bone = body.bones[name]
        angles = np.zeros((len(root), 3))
        for column, axis in enumerate(bone.moving):
            angles[:, _AXES.index(axis)] = channels[name][:, column]
        own = Rotation.from_euler("xyz", angles, degrees=True)
        turns[name] = turns[parent] * bone.axes * own * bone.axes.inv()
        ends[name] = ends[parent] + turns[name].apply(bone.offset)
    return {name: points * body.metres for name, points in ends.items()}


def _sections(path: Path) -> dict[str, list[list[str]]]:
    """`:keyword` -> the words of each line below it."""
    try:
        text = path.read_text(encoding="latin-1")
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error})") from error
    sections: dict[str, list[list[str]]] = {}
    current: list[list[str]] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith(":"):
            current = sections.setdefault(words[0][1:].lower(), [])
        else:
            current.append(words)
    return sections


def _blocks(lines: list[list[str]]) -> list[dict[str, list[str]]]:
    """For each `begin` .. `end` block: first word of a line -> the other words."""
    blocks: list[dict[str, list[str]]] = []
    for words in lines:
        if words[0] == "begin":
            blocks.append({})
        elif words[0] != "end":
            blocks[-1].setdefault(words[0], words[1:])
    return blocks


def _bone(block: dict[str, list[str]]) -> tuple[str, Bone]:
    name, axis = block["name"][0], block["axis"]
    if axis[3:] != ["XYZ"]:
        raise ValueError(f"bone {name}: axes must be in the order XYZ, got {axis[3:]}")
    moving = tuple(word.lower() for word in block.get("dof", []))
    if not set(moving) <= set(_AXES):
        raise ValueError(f"bone {name}: dof must be rotations, got {' '.join(moving)}")
    offset = np.array(block["direction"], float) * float(block["length"][0])
    if offset.shape != (3,):
        raise ValueError(f"bone {name}: direction must have 3 numbers, got {len(offset)}")
    axes = Rotation.from_euler("xyz", [float(angle) for angle in axis[:3]], degrees=True)
    return name, Bone(offset, axes, moving)


def _parents(lines: list[list[str]], bones: dict[str, Bone]) -> dict[str, str]:
    parents: dict[str, str] = {}
    for parent, *children in lines:
        if parent in ("begin", "end"):
            continue
        if parent != "root" and parent not in parents:
            raise ValueError(f"bone {parent} has no parent")
        for child in children:
            if child not in bones:
                raise ValueError(f"bone {child} is not defined")
            parents[child] = parent
    return parents


def _check_root(root: dict[str, list[str]]) -> None:
    order, axis = root["order"], root["axis"]
    if [word.upper() for word in order] != _ROOT or axis != ["XYZ"]:
        raise ValueError(f"the root must have {' '.join(_ROOT)}, XYZ, got {order}, {axis}")
    if any(float(value) for value in root["position"] + root["orientation"]):
        raise ValueError("the root must be at the origin")


def _channel(name: str, rows: list[list[float]], frames: int, width: int) -> Floats:
    if len(rows) != frames:
        raise ValueError(f"{name} has {len(rows)} of {frames} frames: the file is truncated")
    wrong = {len(row) for row in rows} - {width}
    if wrong:
        raise ValueError(f"{name} must have {width} numbers per frame, got {wrong.pop()}")
    values = np.array(rows, np.float64)
    if not np.isfinite(values).all():
        frame = int(np.argwhere(~np.isfinite(values))[0, 0]) + 1
        raise ValueError(f"{name} of frame {frame} must be finite, got {rows[frame - 1]}")
    return values


def _message(error: Exception) -> str:
    return f"{error} is missing or unknown" if isinstance(error, KeyError) else str(error)
