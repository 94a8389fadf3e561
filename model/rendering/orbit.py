"""The camera of the 3D view: it goes around people steadily, and along with them where they go.

Axes: x right, y up, z towards the camera that filmed them, m. At time 0 it stands where that did.
"""

from collections.abc import Mapping, Sequence
from math import cos, pi, radians, sin, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from model.keypoints.skeleton import H36M17
from model.video.results import PersonMotion

Float64 = NDArray[np.float64]

TURN_S = 15.0
LOOK_DOWN_DEG = 13.0
FOCAL_SHARE = 1.5
"""Of the picture's shorter side."""
FOLLOW_S = 0.7
"""Over about so long the camera averages where people are."""
MARGIN_M = 0.2
LEAST_REACH_M = 0.95
SHARE_INSIDE = 95
"""Per cent of all moments in which everybody is wholly in the picture."""
NEAREST_M = 0.1


class Turntable:
    """Where the camera looks, frame by frame, and from how far: so that people fill the picture."""

    def __init__(
        self,
        people: Sequence[PersonMotion],
        bodies: Mapping[int, Float64],
        frames: int,
        fps: float,
    ):
        self._middle = _middles(people, bodies, frames, fps)
        away = [
            np.linalg.norm(bodies[p.id] - self._middle[p.frames, None], axis=-1).max(axis=1)
            for p in people
        ]
        reach_m = np.percentile(np.concatenate(away), SHARE_INSIDE) if away else 0.0
        self.reach_m = max(float(reach_m), LEAST_REACH_M) + MARGIN_M

    def view(self, frame: int, time_s: float, size: tuple[int, int]) -> "View":
        middle = self._middle[min(frame, len(self._middle) - 1)]
        return View(size, middle, self.reach_m, 2 * pi * time_s / TURN_S)


class View:
    """A pinhole camera, `turn` radians around `middle`, that sees `reach_m` around it."""

    def __init__(self, size: tuple[int, int], middle: Float64, reach_m: float, turn: float):
        width, height = size
        down = radians(LOOK_DOWN_DEG)
        around = np.array([[cos(turn), 0, -sin(turn)], [0, 1, 0], [sin(turn), 0, cos(turn)]])
        tilt = np.array([[1, 0, 0], [0, cos(down), -sin(down)], [0, sin(down), cos(down)]])
        self.middle = middle
        self.focal_px = FOCAL_SHARE * min(size)
        self._turn = tilt @ around
        self._centre = np.array([width / 2, height / 2])
        # a ball of that radius touches the borders of the field of view
        self._distance = reach_m * sqrt(1 + (2 * FOCAL_SHARE) ** 2)
        self.horizon_px = float(self._centre[1] - self.focal_px * np.tan(down))

    def depth(self, xyz: Float64) -> Float64:
        """Metres in front of the camera: (..., 3) -> (...)."""
        return np.maximum(self._distance - (xyz - self.middle) @ self._turn[2], NEAREST_M)

    def project(self, xyz: Float64) -> Float64:
        """(..., 3) m -> (..., 2) px."""
        seen = (xyz - self.middle) @ self._turn.T
        scale = self.focal_px / self.depth(xyz)
        flat = np.stack([seen[..., 0], -seen[..., 1]], axis=-1)
        return self._centre + flat * scale[..., None]


def _middles(
    people: Sequence[PersonMotion], bodies: Mapping[int, Float64], frames: int, fps: float
) -> Float64:
    """Between the people who are there, smoothly: (frames, 3)."""
    count = max([frames, *(int(p.frames[-1]) + 1 for p in people)])
    total, there = np.zeros((count, 3)), np.zeros(count)
    for person in people:
        total[person.frames] += bodies[person.id][:, H36M17.root]
        there[person.frames] += 1
    seen = np.flatnonzero(there)
    if not len(seen):
        return np.tile([0.0, 0.9, 0.0], (max(count, 1), 1))
    known = total[seen] / there[seen, None]
    filled = np.stack([np.interp(np.arange(count), seen, axis) for axis in known.T], axis=1)
    return np.asarray(gaussian_filter1d(filled, FOLLOW_S * fps, axis=0, mode="nearest"))
