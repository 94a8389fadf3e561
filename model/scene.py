"""Everybody's 3D poses on one floor, seen by a camera that gently swings around them.

Poses know no place, only their shape, so people stand side by side, ordered as in the picture, and
each with the lowest joint on the floor. One turn for the whole video makes people upright on
average, because the camera that filmed them may have been tilted.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import cos, pi, radians, sin

import numpy as np
from numpy.typing import NDArray

from model.drawing import Colour, Picture, badge, colours_of, draw_skeleton, hairlines, stroke
from model.pipeline import PersonMotion
from model.skeleton import H36M17

Float64 = NDArray[np.float64]

BACKGROUND = (28, 33, 43)
HORIZON = (47, 54, 67)
GRID = (92, 103, 122)
SHADOW = (17, 20, 27)
SPACING_M = 1.4
GRID_STEP_M = 0.5
GRID_REACH_M = 4.0
GRID_SHADES = 12
SWING_DEG = 28.0
SWING_S = 9.0
LOOK_DOWN_DEG = 13.0
MAX_TILT_DEG = 50.0
"""A mean body axis further from upright than this says nothing about the camera."""
BONE_M = 0.045
ROOM_ABOVE_M = 2.2

_HEAD = H36M17.index("head")
_FEET = [H36M17.index("left_ankle"), H36M17.index("right_ankle")]


class Scene:
    """Draws the moments of a video's people; knows where each stands."""

    def __init__(self, people: Sequence[PersonMotion], picture_width: int):
        upright = upright_turn([person.poses.xyz for person in people])
        places = side_by_side(people, picture_width)
        self._people = people
        self._bodies = {p.id: _standing(p.poses.xyz, upright, places[p.id]) for p in people}
        self._half_width_m = max([abs(x) for x in places.values()], default=0.0) + 1.0

    def draw(self, frame: int, time_s: float, size: tuple[int, int]) -> Picture:
        """The people of that frame, on a picture of size (width, height) px."""
        view = _View(size, self._half_width_m, time_s)
        picture = _backdrop(size, view.horizon_px).copy()
        _draw_floor(picture, view)
        rows = {person.id: person.row(frame) for person in self._people}
        present = {id: self._bodies[id][row] for id, row in rows.items() if row is not None}
        for body in present.values():
            _draw_shadow(picture, view, body)
        for id, body in sorted(present.items(), key=lambda item: -view.depth(item[1]).mean()):
            _draw_body(picture, view, id, body)
        return picture


class _View:
    """A pinhole camera that looks at the middle of the stage. World: x right, y up, z away, m."""

    def __init__(self, size: tuple[int, int], half_width_m: float, time_s: float):
        width, height = size
        swing = radians(SWING_DEG) * sin(2 * pi * time_s / SWING_S)
        down = radians(LOOK_DOWN_DEG)
        around = np.array([[cos(swing), 0, -sin(swing)], [0, 1, 0], [sin(swing), 0, cos(swing)]])
        tilt = np.array([[1, 0, 0], [0, cos(down), sin(down)], [0, -sin(down), cos(down)]])
        self.focal_px = 1.5 * height
        self._turn = tilt @ around
        self._middle = np.array([width / 2, height / 2])
        self._look_at = np.array([0.0, 0.85, 0.0])
        across = half_width_m * self.focal_px / (width / 2)
        self._distance = max(across, ROOM_ABOVE_M / 2 * self.focal_px / (height / 2)) + 0.4
        self.horizon_px = float(self._middle[1] - self.focal_px * np.tan(down))

    def depth(self, xyz: Float64) -> Float64:
        """Metres in front of the camera: (..., 3) -> (...)."""
        seen = (xyz - self._look_at) @ self._turn[2] + self._distance
        return np.maximum(seen, 0.1)

    def project(self, xyz: Float64) -> Float64:
        """World (..., 3) m -> (..., 2) px."""
        seen = (xyz - self._look_at) @ self._turn.T
        scale = self.focal_px / self.depth(xyz)
        flat = np.stack([seen[..., 0], -seen[..., 1]], axis=-1)
        return self._middle + flat * scale[..., None]


def upright_turn(poses: Sequence[NDArray[np.float32]]) -> Float64:
    """The smallest rotation (3, 3) from camera axes to the world's (y up) that makes people's mean
    axis, from the ankles to the head, upright; no tilt where that axis lies too flat."""
    flip = np.diag([1.0, -1.0, 1.0])
    if not poses:
        return flip
    xyz = np.concatenate(poses).astype(np.float64)
    axis = (xyz[:, _HEAD] - xyz[:, _FEET].mean(axis=1)).mean(axis=0) @ flip
    x, y, z = axis / max(float(np.linalg.norm(axis)), 1e-9)
    if y < cos(radians(MAX_TILT_DEG)):
        return flip
    k = 1 / (1 + y)
    turn = np.array([[1 - x * x * k, -x, -x * z * k], [x, y, z], [-x * z * k, -z, 1 - z * z * k]])
    return turn @ flip


def side_by_side(people: Sequence[PersonMotion], picture_width: int) -> dict[int, float]:
    """Where each stands across the stage, m: places are shared by people who never meet, and given
    by where they come into the picture."""
    spans = {p.id: (int(p.frames[0]), int(p.frames[-1])) for p in people}
    meeting = [
        sum(first <= start <= last for first, last in spans.values()) for start, _ in spans.values()
    ]
    places = max(meeting, default=0)
    taken: dict[int, int] = {}
    for person in sorted(people, key=lambda p: spans[p.id]):
        start = spans[person.id][0]
        busy = {place for id, place in taken.items() if spans[id][1] >= start}
        wanted = _across(person, picture_width) * places - 0.5
        free = (place for place in range(places) if place not in busy)
        taken[person.id] = min(free, key=lambda place: abs(place - wanted))
    return {id: (place - (places - 1) / 2) * SPACING_M for id, place in taken.items()}


def _across(person: PersonMotion, picture_width: int) -> float:
    """Where in the picture's width someone is, on average: 0..1."""
    seen = person.keypoints.confidence > 0
    return float(np.mean(person.keypoints.xy[..., 0][seen]) / picture_width) if seen.any() else 0.5


def _standing(xyz: NDArray[np.float32], upright: Float64, x: float) -> Float64:
    """Poses (T, 17, 3) in camera axes -> standing on the floor of the world at x."""
    body = xyz.astype(np.float64) @ upright.T
    body[..., 1] -= body[..., 1].min(axis=1, keepdims=True)
    body[..., 0] += x
    return body


@lru_cache(maxsize=4)
def _backdrop(size: tuple[int, int], horizon_px: float) -> Picture:
    """A floor that fades into the distance."""
    width, height = size
    rows = np.arange(height)[:, None]
    far = np.exp(-np.abs(rows - horizon_px) / (0.28 * height))
    shade = np.array(BACKGROUND) + (np.array(HORIZON) - BACKGROUND) * far
    return np.repeat(shade[:, None].astype(np.uint8), width, axis=1)


def _draw_floor(picture: Picture, view: _View) -> None:
    """A grid that fades away from the middle."""
    pieces = _floor_pieces()
    away = np.hypot(pieces[..., 0], pieces[..., 2]).mean(axis=1) / GRID_REACH_M
    shades = np.minimum(away * GRID_SHADES, GRID_SHADES - 1).astype(int)
    lines = view.project(pieces)
    for shade in range(GRID_SHADES):
        colour = _blend(GRID, BACKGROUND, shade / GRID_SHADES)
        hairlines(picture, lines[shades == shade], colour)


@lru_cache(maxsize=1)
def _floor_pieces() -> Float64:
    """The grid as short lines (N, 2, 3) m."""
    marks = np.arange(-GRID_REACH_M, GRID_REACH_M + 1e-6, GRID_STEP_M)
    across, along = np.meshgrid(marks, marks[:-1])
    start = np.stack([across, np.zeros_like(across), along], axis=-1).reshape(-1, 3)
    lines = np.stack([start, start + [0, 0, GRID_STEP_M]], axis=1)
    return np.concatenate([lines, lines[..., ::-1]])


def _blend(colour: Colour, other: Colour, share: float) -> Colour:
    r, g, b = (round(c + (o - c) * share) for c, o in zip(colour, other, strict=True))
    return r, g, b


def _draw_shadow(picture: Picture, view: _View, body: Float64) -> None:
    flat = view.project(body * [1, 0, 1])
    width_px = BONE_M * 1.3 * view.focal_px / float(view.depth(body).mean())
    for parent, child in H36M17.bones:
        stroke(picture, flat[parent], flat[child], SHADOW, width_px)


def _draw_body(picture: Picture, view: _View, id: int, body: Float64) -> None:
    width_px = BONE_M * view.focal_px / float(view.depth(body).mean())
    points, colours = view.project(body), colours_of(id)
    draw_skeleton(picture, points, colours, width_px, depth=view.depth(body))
    above = view.project(body[_HEAD] + [0, 0.22, 0])
    badge(picture, str(id), above, colours.middle)
