"""The 3D view: all people on one floor, seen by a camera that orbits them."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from model.keypoints.skeleton import H36M17
from model.motion.world import ANKLE_M
from model.rendering.orbit import Orbit, View
from model.rendering.stage import bodies_on_floor
from model.rendering.strokes import (
    BACKGROUND,
    Colour,
    RgbImage,
    blend,
    colours_of,
    darken,
    draw_badge,
    draw_hairlines,
    draw_line,
    draw_skeleton,
)
from model.video.results import VideoResult

Float64 = NDArray[np.float64]

HORIZON = (60, 68, 84)
GRID = (112, 124, 145)
GRID_STEP_M = 0.5
MAJOR_EVERY = 2
GRID_BEYOND_M = 3.0
"""The grid fades out over this distance around the people."""
GRID_SHADES = 12
NEAR_M = 0.3
"""Parts of the grid nearer to the camera are not drawn."""
BONE_M = 0.045
SHADOW = 0.9
"""Darkness at height 0; it halves with every SHADOW_HALF_M of height."""
SHADOW_HALF_M = 0.35
SHADOW_SOFT_M = 0.04
CONTACT_M = ANKLE_M + 0.05
"""An ankle below this height is taken to be on the floor."""
CONTACT_RADIUS_M = 0.12
BADGE_ABOVE_M = 0.2

_HEAD = H36M17.index("head")
_ANKLES = ("left_ankle", "right_ankle")
_ROUND = np.linspace(0, 2 * np.pi, 33)
_CIRCLE = CONTACT_RADIUS_M * np.stack([np.cos(_ROUND), 0 * _ROUND, np.sin(_ROUND)], axis=-1)


class View3D:
    """Draws the 3D view of a video result, frame by frame."""

    def __init__(self, result: VideoResult):
        self._people = result.people
        self._bodies = bodies_on_floor(result)
        video = result.video
        self._orbit = Orbit(self._people, self._bodies, video.frames, video.fps)

    def draw(self, frame: int, time_s: float, size: tuple[int, int]) -> RgbImage:
        """An image of size (width, height) px with the people of that frame."""
        view = self._orbit.view(frame, time_s, size)
        image = _backdrop(size, view.horizon_px).copy()
        _draw_floor(image, view, self._orbit.reach_m + GRID_BEYOND_M)
        rows = {person.id: person.row(frame) for person in self._people}
        present = {id: self._bodies[id][row] for id, row in rows.items() if row is not None}
        _draw_shadows(image, view, list(present.values()))
        for id, body in sorted(present.items(), key=lambda item: -view.depth(item[1]).mean()):
            _draw_contacts(image, view, id, body)
            _draw_body(image, view, id, body)
        return image


@lru_cache(maxsize=4)
def _backdrop(size: tuple[int, int], horizon_px: float) -> RgbImage:
    """The background: brightest at the horizon."""
    width, height = size
    rows = np.arange(height)[:, None]
    glow = np.exp(-np.abs(rows - horizon_px) / (0.28 * height))
    shade = np.array(BACKGROUND) + (np.array(HORIZON) - BACKGROUND) * glow
    return np.repeat(shade[:, None].astype(np.uint8), width, axis=1)


def _draw_floor(image: RgbImage, view: View, reach_m: float) -> None:
    """A grid that fades away from the centre; every second line is brighter."""
    pieces, major = _grid(round(reach_m / GRID_STEP_M))
    snapped = np.round(view.centre / (GRID_STEP_M * MAJOR_EVERY)) * GRID_STEP_M * MAJOR_EVERY
    pieces = pieces + snapped * [1, 0, 1]
    distance = np.linalg.norm((pieces.mean(axis=1) - view.centre)[:, [0, 2]], axis=1) / reach_m
    visible = (distance < 1) & (view.depth(pieces) > NEAR_M).all(axis=1)
    shades = (np.where(major, distance, 0.45 + 0.55 * distance) * GRID_SHADES).astype(int)
    lines = view.project(pieces)
    for shade in range(GRID_SHADES):
        colour = blend(GRID, BACKGROUND, shade / GRID_SHADES)
        draw_hairlines(image, lines[visible & (shades == shade)], colour)


@lru_cache(maxsize=1)
def _grid(steps: int) -> tuple[Float64, NDArray[np.bool_]]:
    """The grid as short lines (N, 2, 3) m, `steps` to each side; which (N,) are major."""
    count = np.arange(-steps, steps + 1)
    across, along = np.meshgrid(count, count[:-1])
    start = np.stack([across, np.zeros_like(across), along], axis=-1).reshape(-1, 3) * GRID_STEP_M
    lines = np.stack([start, start + [0, 0, GRID_STEP_M]], axis=1)
    major = np.tile(across.ravel() % MAJOR_EVERY == 0, 2)
    return np.concatenate([lines, lines[..., ::-1]]), major


def _draw_shadows(image: RgbImage, view: View, bodies: list[Float64]) -> None:
    """Shadows straight below the bones; the higher the bone, the fainter."""
    mask = np.zeros(image.shape[:2], np.uint8)
    strokes = []
    for body in bodies:
        flat, scale = view.project(body * [1, 0, 1]), view.focal_px / view.depth(body).mean()
        for parent, child in H36M17.bones:
            height = float(np.maximum(body[[parent, child], 1].mean(), 0))
            strokes.append((height, flat[parent], flat[child], BONE_M * 1.6 * float(scale)))
    for height, start, end, width_px in sorted(strokes, key=lambda item: -item[0]):
        dark = round(255 * SHADOW * 0.5 ** (height / SHADOW_HALF_M))
        draw_line(mask, start, end, (dark,) * 3, width_px)
    soft_px = SHADOW_SOFT_M * view.focal_px / float(view.depth(view.centre))
    darken(image, mask, soft_px)


def _draw_contacts(image: RgbImage, view: View, id: int, body: Float64) -> None:
    """A ring around each ankle that is on the floor."""
    for name in _ANKLES:
        ankle = body[H36M17.index(name)]
        if ankle[1] < CONTACT_M:
            ring = view.project(_CIRCLE + ankle * [1, 0, 1])
            colour: Colour = blend(colours_of(id).of(name), BACKGROUND, 0.35)
            draw_hairlines(image, ring[None], colour)


def _draw_body(image: RgbImage, view: View, id: int, body: Float64) -> None:
    depth = view.depth(body)
    points, colours = view.project(body), colours_of(id)
    width_px = BONE_M * view.focal_px / float(depth.mean())
    draw_skeleton(image, points, colours, width_px, depth=depth)
    above = view.project(body[_HEAD] + [0, BADGE_ABOVE_M, 0])
    draw_badge(image, str(id), above, colours.middle)
