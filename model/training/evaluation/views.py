"""Classes of camera views, by which the model card divides its figures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from model.training.simulation.windows import Observation


@dataclass(frozen=True)
class View:
    """One clip's camera: its height above and distance from the body's middle (m, at the canonical
    body size), and the share (0..1) of joints outside the image."""

    height_m: float
    distance_m: float
    outside: float


def views(observation: Observation) -> list[View]:
    """One view for each of B clips."""
    cameras = observation.cameras
    # relative to the body's middle, in world axes, Y up
    position = -cameras.offset[:, 0] @ cameras.rotation
    heights = position[:, 0, 1]
    distances = torch.linalg.vector_norm(cameras.offset[:, 0, 0], dim=-1)
    points = cameras.project(observation.joints)
    beyond = (points < 0) | (points > cameras.image_size[:, None, None])
    outside = beyond.any(dim=-1).float().mean(dim=(1, 2))
    rows = zip(heights.tolist(), distances.tolist(), outside.tolist(), strict=True)
    return [View(*row) for row in rows]


def _height(low_m: float, high_m: float) -> Callable[[View], bool]:
    return lambda view: low_m <= view.height_m < high_m


def _distance(low_m: float, high_m: float) -> Callable[[View], bool]:
    return lambda view: low_m <= view.distance_m < high_m


CLASSES: Mapping[str, Callable[[View], bool]] = {
    "camera lower than the body's middle": _height(-np.inf, 0),
    "camera 0-1 m higher": _height(0, 1),
    "camera 1-2 m higher": _height(1, 2),
    "camera 2 m and more higher": _height(2, np.inf),
    "up to 3 m away": _distance(0, 3),
    "3-6 m away": _distance(3, 6),
    "6-12 m away": _distance(6, 12),
    "more than 12 m away": _distance(12, np.inf),
    "wholly in the image": lambda view: view.outside == 0,
    "up to 10 % of the joints outside": lambda view: 0 < view.outside <= 0.1,
    "more than 10 % of the joints outside": lambda view: view.outside > 0.1,
}
