"""The 3D view: everybody on one floor, on a turntable."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from model.keypoints.skeleton import H36M17
from model.motion.world import ANKLE_M
from model.rendering.orbit import Turntable, View
from model.rendering.stage import bodies_on_floor
from model.rendering.strokes import (
    BACKGROUND,
    Colour,
    Picture,
    badge,
    blend,
    colours_of,
    darken,
    draw_skeleton,
    hairlines,
    stroke,
)
from model.video.results import VideoResult

Float64 = NDArray[np.float64]

HORIZON = (60, 68, 84)
GRID = (112, 124, 145)
GRID_STEP_M = 0.5
MAJOR_EVERY = 2
GRID_BEYOND_M = 3.0
"""So much further than people, it has faded away."""
GRID_SHADES = 12
NEAR_M = 0.3
"""What is nearer to the camera than this is not drawn."""
BONE_M = 0.045
SHADOW = 0.9
"""How dark it is under a foot; a shadow fades by half over SHADOW_HALF_M of height."""
SHADOW_HALF_M = 0.35
SHADOW_SOFT_M = 0.04
CONTACT_M = ANKLE_M + 0.05
"""An ankle below this stands on the floor."""
CONTACT_RADIUS_M = 0.12
BADGE_ABOVE_M = 0.2

_HEAD = H36M17.index("head")
_ANKLES = ("left_ankle", "right_ankle")
_ROUND = np.linspace(0, 2 * np.pi, 33)
_CIRCLE = CONTACT_RADIUS_M * np.stack([np.cos(_ROUND), 0 * _ROUND, np.sin(_ROUND)], axis=-1)


class Scene:
    """Draws the moments of a video's people."""

    def __init__(self, result: VideoResult):
        self._people = result.people
        self._bodies = bodies_on_floor(result)
        video = result.video
        self._turntable = Turntable(self._people, self._bodies, video.frames, video.fps)

    def draw(self, frame: int, time_s: float, size: tuple[int, int]) -> Picture:
        """The people of that frame, on a picture of size (width, height) px."""
        view = self._turntable.view(frame, time_s, size)
        picture = _backdrop(size, view.horizon_px).copy()
        _draw_floor(picture, view, self._turntable.reach_m + GRID_BEYOND_M)
        rows = {person.id: person.row(frame) for person in self._people}
        present = {id: self._bodies[id][row] for id, row in rows.items() if row is not None}
        _draw_shadows(picture, view, list(present.values()))
        for id, body in sorted(present.items(), key=lambda item: -view.depth(item[1]).mean()):
            _draw_contacts(picture, view, id, body)
            _draw_body(picture, view, id, body)
        return picture


@lru_cache(maxsize=4)
def _backdrop(size: tuple[int, int], horizon_px: float) -> Picture:
    """A floor that fades into the distance."""
    width, height = size
    rows = np.arange(height)[:, None]
    far = np.exp(-np.abs(rows - horizon_px) / (0.28 * height))
    shade = np.array(BACKGROUND) + (np.array(HORIZON) - BACKGROUND) * far
    return np.repeat(shade[:, None].astype(np.uint8), width, axis=1)


def _draw_floor(picture: Picture, view: View, reach_m: float) -> None:
    """A grid that fades away from the middle; every second line is brighter."""
    pieces, major = _floor_pieces(round(reach_m / GRID_STEP_M))
    snapped = np.round(view.middle / (GRID_STEP_M * MAJOR_EVERY)) * GRID_STEP_M * MAJOR_EVERY
    pieces = pieces + snapped * [1, 0, 1]
    away = np.linalg.norm((pieces.mean(axis=1) - view.middle)[:, [0, 2]], axis=1) / reach_m
    shown = (away < 1) & (view.depth(pieces) > NEAR_M).all(axis=1)
    steps = (np.where(major, away, 0.45 + 0.55 * away) * GRID_SHADES).astype(int)
    lines = view.project(pieces)
    for step in range(GRID_SHADES):
        colour = blend(GRID, BACKGROUND, step / GRID_SHADES)
        hairlines(picture, lines[shown & (steps == step)], colour)


@lru_cache(maxsize=1)
def _floor_pieces(steps: int) -> tuple[Float64, NDArray[np.bool_]]:
    """The grid as short lines (N, 2, 3) m, so many steps to each side; which of them are major."""
    count = np.arange(-steps, steps + 1)
    across, along = np.meshgrid(count, count[:-1])
    start = np.stack([across, np.zeros_like(across), along], axis=-1).reshape(-1, 3) * GRID_STEP_M
    lines = np.stack([start, start + [0, 0, GRID_STEP_M]], axis=1)
    major = np.tile(across.ravel() % MAJOR_EVERY == 0, 2)
    return np.concatenate([lines, lines[..., ::-1]]), major


def _draw_shadows(picture: Picture, view: View, bodies: list[Float64]) -> None:
    """Straight down, and the softer the higher what throws them."""
    depth = np.zeros(picture.shape[:2], np.uint8)
    strokes = []
    for body in bodies:
        flat, scale = view.project(body * [1, 0, 1]), view.focal_px / view.depth(body).mean()
        for parent, child in H36M17.bones:
            height = float(np.maximum(body[[parent, child], 1].mean(), 0))
            strokes.append((height, flat[parent], flat[child], BONE_M * 1.6 * float(scale)))
    for height, start, end, width_px in sorted(strokes, key=lambda one: -one[0]):
        dark = round(255 * SHADOW * 0.5 ** (height / SHADOW_HALF_M))
        stroke(depth, start, end, (dark,) * 3, width_px)
    soft_px = SHADOW_SOFT_M * view.focal_px / float(view.depth(view.middle))
    darken(picture, depth, soft_px)


def _draw_contacts(picture: Picture, view: View, id: int, body: Float64) -> None:
    """A ring around each foot that stands."""
    for name in _ANKLES:
        ankle = body[H36M17.index(name)]
        if ankle[1] < CONTACT_M:
            ring = view.project(_CIRCLE + ankle * [1, 0, 1])
            colour: Colour = blend(colours_of(id).of(name), BACKGROUND, 0.35)
            hairlines(picture, ring[None], colour)


def _draw_body(picture: Picture, view: View, id: int, body: Float64) -> None:
    depth = view.depth(body)
    points, colours = view.project(body), colours_of(id)
    width_px = BONE_M * view.focal_px / float(depth.mean())
    draw_skeleton(picture, points, colours, width_px, depth=depth)
    above = view.project(body[_HEAD] + [0, BADGE_ABOVE_M, 0])
    badge(picture, str(id), above, colours.middle)
