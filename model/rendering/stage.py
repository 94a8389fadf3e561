"""Places of people in the 3D view: on one floor, side by side.

Root-relative poses have no position, so people are ordered as in the image, each with the lowest
joint on the floor. One rotation for the whole video makes them upright on average, since the camera
may have been tilted. Axes: x right, y up, z towards the camera, m.
"""

from collections.abc import Mapping, Sequence
from math import cos, radians

import numpy as np
from numpy.typing import NDArray

from model.keypoints.skeleton import H36M17
from model.motion.world import ANKLE_M
from model.video.results import PersonMotion, VideoResult

Float64 = NDArray[np.float64]

SPACING_M = 1.4
MAX_TILT_DEG = 50.0
"""A mean body axis further from upright than this is not blamed on the camera."""

_HEAD = H36M17.index("head")
_FEET = [H36M17.index("left_ankle"), H36M17.index("right_ankle")]


def bodies_on_floor(result: VideoResult) -> Mapping[int, Float64]:
    """Each person's joints (n, 17, 3), by id; the floor is y = 0."""
    upright = upright_rotation([person.poses.xyz for person in result.people])
    places = side_by_side(result.people, result.video.width)
    return {p.id: _placed(p.poses.xyz, upright, places[p.id]) for p in result.people}


def upright_rotation(poses: Sequence[NDArray[np.float32]]) -> Float64:
    """The rotation (3, 3) from camera axes to the stage's that, with the least tilt, makes the
    poses' mean axis from ankles to head upright; no tilt if it exceeds MAX_TILT_DEG."""
    flip = np.diag([1.0, -1.0, -1.0])
    if not poses:
        return flip
    xyz = np.concatenate(poses).astype(np.float64)
    axis = (xyz[:, _HEAD] - xyz[:, _FEET].mean(axis=1)).mean(axis=0) @ flip
    x, y, z = axis / max(float(np.linalg.norm(axis)), 1e-9)
    if y < cos(radians(MAX_TILT_DEG)):
        return flip
    k = 1 / (1 + y)
    tilt = np.array([[1 - x * x * k, -x, -x * z * k], [x, y, z], [-x * z * k, -z, 1 - z * z * k]])
    return tilt @ flip


def side_by_side(people: Sequence[PersonMotion], image_width: int) -> dict[int, float]:
    """x in m by person id, in the order of their mean x in the image; people who are never visible
    at the same time may share a place."""
    spans = {p.id: (int(p.frames[0]), int(p.frames[-1])) for p in people}
    simultaneous = [
        sum(first <= start <= last for first, last in spans.values()) for start, _ in spans.values()
    ]
    places = max(simultaneous, default=0)
    taken: dict[int, int] = {}
    for person in sorted(people, key=lambda p: spans[p.id]):
        start = spans[person.id][0]
        busy = {place for id, place in taken.items() if spans[id][1] >= start}
        target = _mean_x(person, image_width) * places - 0.5
        free = (place for place in range(places) if place not in busy)
        taken[person.id] = min(free, key=lambda place: abs(place - target))
    return {id: (place - (places - 1) / 2) * SPACING_M for id, place in taken.items()}


def _mean_x(person: PersonMotion, image_width: int) -> float:
    """Mean x of the seen keypoints as a share of the image width."""
    seen = person.keypoints.confidence > 0
    return float(np.mean(person.keypoints.xy[..., 0][seen]) / image_width) if seen.any() else 0.5


def _placed(xyz: NDArray[np.float32], upright: Float64, x: float) -> Float64:
    """Poses (T, 17, 3) in camera axes -> on the floor of the stage at x."""
    body = xyz.astype(np.float64) @ upright.T
    body[..., 1] += ANKLE_M - body[..., 1].min(axis=1, keepdims=True)
    body[..., 0] += x
    return body
