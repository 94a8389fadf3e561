"""The camera of the 3D view: it orbits the people at a constant speed and follows them.

Axes: x right, y up, z towards the camera that took the video, m. At time 0 the orbit is at that
camera's side.
"""

from collections.abc import Mapping, Sequence
from math import cos, pi, radians, sin, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from model.keypoints.skeleton import H36M17
from model.video.results import PersonMotion

Float64 = NDArray[np.float64]

ORBIT_S = 15.0
LOOK_DOWN_DEG = 13.0
FOCAL_SHARE = 1.5
"""Focal length as a share of the image's shorter side."""
FOLLOW_S = 0.7
"""Standard deviation of the Gaussian that smooths the camera's path."""
MARGIN_M = 0.2
MIN_REACH_M = 0.95
PERCENT_INSIDE = 95
"""Percentage of people's frames in which the whole body must be in the image."""
MIN_DEPTH_M = 0.1


class Orbit:
    """The camera's view of each frame; its distance is chosen so that people fill the image."""

    def __init__(
        self,
        people: Sequence[PersonMotion],
        bodies: Mapping[int, Float64],
        frames: int,
        fps: float,
    ):
        self._centres = _centres(people, bodies, frames, fps)
        distances = [
            np.linalg.norm(bodies[p.id] - self._centres[p.frames, None], axis=-1).max(axis=1)
            for p in people
        ]
        reach_m = np.percentile(np.concatenate(distances), PERCENT_INSIDE) if distances else 0.0
        self.reach_m = max(float(reach_m), MIN_REACH_M) + MARGIN_M

    def view(self, frame: int, time_s: float, size: tuple[int, int]) -> "View":
        centre = self._centres[min(frame, len(self._centres) - 1)]
        return View(size, centre, self.reach_m, 2 * pi * time_s / ORBIT_S)


class View:
    """A pinhole camera at `angle` rad on the orbit around `centre` (3,) m, that sees a sphere of
    radius reach_m around it; size (width, height) px."""

    def __init__(self, size: tuple[int, int], centre: Float64, reach_m: float, angle: float):
        width, height = size
        down = radians(LOOK_DOWN_DEG)
        around = np.array([[cos(angle), 0, -sin(angle)], [0, 1, 0], [sin(angle), 0, cos(angle)]])
        tilt = np.array([[1, 0, 0], [0, cos(down), -sin(down)], [0, sin(down), cos(down)]])
        self.centre = centre
        self.focal_px = FOCAL_SHARE * min(size)
        self._rotation = tilt @ around
        self._middle_px = np.array([width / 2, height / 2])
        # at this distance the sphere touches the borders of the field of view
        self._distance = reach_m * sqrt(1 + (2 * FOCAL_SHARE) ** 2)
        self.horizon_px = float(self._middle_px[1] - self.focal_px * np.tan(down))

    def depth(self, xyz: Float64) -> Float64:
        """Metres in front of the camera: (..., 3) -> (...)."""
        return np.maximum(self._distance - (xyz - self.centre) @ self._rotation[2], MIN_DEPTH_M)

    def project(self, xyz: Float64) -> Float64:
        """(..., 3) m -> (..., 2) px."""
        rotated = (xyz - self.centre) @ self._rotation.T
        scale = self.focal_px / self.depth(xyz)
        flat = np.stack([rotated[..., 0], -rotated[..., 1]], axis=-1)
        return self._middle_px + flat * scale[..., None]


def _centres(
    people: Sequence[PersonMotion], bodies: Mapping[int, Float64], frames: int, fps: float
) -> Float64:
    """Mean pelvis position of the people in each frame, smoothed: (frames, 3)."""
    count = max([frames, *(int(p.frames[-1]) + 1 for p in people)])
    total, present = np.zeros((count, 3)), np.zeros(count)
    for person in people:
        total[person.frames] += bodies[person.id][:, H36M17.root]
        present[person.frames] += 1
    known = np.flatnonzero(present)
    if not len(known):
        return np.tile([0.0, 0.9, 0.0], (max(count, 1), 1))
    means = total[known] / present[known, None]
    filled = np.stack([np.interp(np.arange(count), known, axis) for axis in means.T], axis=1)
    return np.asarray(gaussian_filter1d(filled, FOLLOW_S * fps, axis=0, mode="nearest"))
