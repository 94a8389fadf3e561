"""Pixels <-> rays <-> what the network reads, and 3D turned to the person and back.

Axes everywhere: x right, y down, z forward. A ray is (X, Y) on the plane z = 1. Every function
takes NumPy arrays or torch tensors, because training simulates its cameras through the same code.

A frame's input depends on that frame alone (and, where too little of the person is seen, on the
last box before it), never on the window it is in: that is what lets a stream encode each frame
once. Only element-wise operations are used, so that the result is the same bits however many
frames are prepared at once.
"""

import math
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np

from model.keypoints.skeleton import H36M17, Array

MIN_SEEN = 4
"""Joints that must be seen for a box of their own."""
MAX_RAY = 10.0
"""Rays are cut off 84 degrees from the optical axis, where pixels stop meaning anything."""
MIN_HALF_SIZE = 1e-3
"""A person's box is at least this large (half side on the plane z = 1)."""
MIN_DEPTH = 1e-2
"""Turned rays are kept in front of the camera."""
PERSON_CHANNELS = 6
"""x, y, score, box direction x, box direction y, log of the box's half size."""
IMAGE_CHANNELS = 2

_FAR = 1e9
_MIRROR = list(H36M17.mirror)


@dataclass(frozen=True)
class Box:
    """Where a person is: middle (..., 2) as a ray, and half the longer side after turning (...)."""

    middle: Array
    half_size: Array


@dataclass(frozen=True)
class PersonInput:
    """What the network reads, and what turns its answer back.

    channels (..., T, 17, 6); rotation (..., T, 3, 3), camera -> turned axes; box of each frame.
    """

    channels: Array
    rotation: Array
    box: Box


def pixels_to_rays(xy: Array, image_size: Array, focal_px: Array) -> Array:
    """(..., 2) px -> rays; the principal point is the middle of the picture."""
    return (xy - image_size / 2) / focal_px


def rays_to_pixels(rays: Array, image_size: Array, focal_px: Array) -> Array:
    """The inverse of pixels_to_rays."""
    return rays * focal_px + image_size / 2


def rotation_to(ray: Array) -> Array:
    """The smallest rotation (..., 3, 3) that takes a ray (..., 2) to the optical axis.

    Rodrigues' formula for the unit vector d = (a, b, c) and the axis z, with k = 1 / (1 + c).
    """
    xp = array_api_compat.array_namespace(ray)
    square = ray * ray
    length = xp.sqrt(square[..., 0] + square[..., 1] + 1)
    ab, c = ray / length[..., None], 1 / length
    kab = ab / (1 + c)[..., None]
    rotation = _empty_like(xp, ray, (*c.shape, 3, 3))
    rotation[..., :2, :2] = -kab[..., None] * ab[..., None, :]
    rotation[..., :2, 2] = -ab
    rotation[..., 2, :2] = ab
    rotation[..., 2, 2] = c
    rotation[..., 0, 0] += 1
    rotation[..., 1, 1] += 1
    return rotation


def turn(xyz: Array, rotation: Array) -> Array:
    """Camera axes -> the axes turned to the person: xyz (..., J, 3), rotation (..., 3, 3)."""
    xp = array_api_compat.array_namespace(xyz)
    return xp.matmul(xyz, xp.matrix_transpose(rotation))


def turn_back(xyz: Array, rotation: Array) -> Array:
    """The inverse of turn."""
    return xyz @ rotation


def turn_rays(rays: Array, rotation: Array) -> Array:
    """Rays (..., J, 2) as the turned camera sees them."""
    parts = rotation[..., None, :, :2] * rays[..., None, :]  # (..., J, 3, 2)
    turned = parts[..., 0] + parts[..., 1] + rotation[..., None, :, 2]
    return turned[..., :2] / turned[..., 2:].clip(MIN_DEPTH)


def whole_picture(image_size: Array, focal_px: Array) -> Box:
    """The box before anyone was seen."""
    xp = array_api_compat.array_namespace(image_size)
    half = xp.max(image_size / (2 * focal_px), axis=-1)
    return Box(middle=xp.zeros_like(image_size / focal_px), half_size=half)


def person_input(rays: Array, score: Array, before: Box) -> PersonInput:
    """The `person` normalisation: each frame seen by a camera turned to the person.

    rays (..., T, 17, 2), score (..., T, 17) with 0 for a joint not seen; `before` is the box of the
    frame before the first one (...). A frame with fewer than four joints keeps the last box.
    """
    xp = array_api_compat.array_namespace(rays)
    rays = rays.clip(-MAX_RAY, MAX_RAY)
    seen = score > 0
    # asked where it is cheap, which it is not on a GPU: then nothing has to be left out
    whole = not array_api_compat.is_torch_array(seen) and bool(seen.all())
    source = None if whole else _newest(xp, seen.sum(-1) >= MIN_SEEN)
    mask = None if whole else seen[..., None]

    low, high = _bounds(xp, rays, mask)
    middle = _carry(xp, (low + high) / 2, before.middle, source)
    rotation = rotation_to(middle)
    turned = turn_rays(rays, rotation)
    low, high = _bounds(xp, turned, mask)
    half = (_greatest(high - low, -1) / 2).clip(MIN_HALF_SIZE)
    half = _carry(xp, half, before.half_size, source)

    channels = _empty_like(xp, rays, (*score.shape, PERSON_CHANNELS))
    xy = turned / half[..., None, None]
    channels[..., :2] = xy if mask is None else xp.where(mask, xy, 0.0)
    channels[..., 2] = score
    channels[..., 3:5] = rotation[..., None, 2, :2]
    # float64, because the last bit of a float32 logarithm depends on the vector unit's lanes
    channels[..., 5] = xp.log(xp.astype(half, xp.float64))[..., None]
    return PersonInput(channels, rotation, Box(middle, half))


def one_person_input(rays: Array, score: Array, before: Box) -> PersonInput:
    """`person_input` of one frame, (1, 17, 2) and (1, 17), in plain numbers: a live frame waits for
    this, and thirty operations on arrays take three times as long, a multiple of that where caches
    are cold. The steps are the same, one by one, and so for float64 are the bits.
    """
    points, scores = rays[0].clip(-MAX_RAY, MAX_RAY).tolist(), score[0].tolist()
    seen = [joint for joint, sure in enumerate(scores) if sure > 0]
    own_box = len(seen) >= MIN_SEEN
    x, y = _middle([points[joint] for joint in seen]) if own_box else before.middle.tolist()
    length = math.sqrt(x * x + y * y + 1)
    a, b, c = x / length, y / length, 1 / length
    ka, kb = a / (1 + c), b / (1 + c)
    xx, xy, yx, yy = 1 - ka * a, -ka * b, -kb * a, 1 - kb * b
    turned = []
    for px, py in points:
        depth = max(a * px + b * py + c, MIN_DEPTH)
        turned.append(((xx * px + xy * py - a) / depth, (yx * px + yy * py - b) / depth))
    half = _half_size([turned[joint] for joint in seen]) if own_box else float(before.half_size)
    about = a, b, math.log(half)
    channels = [(0.0, 0.0, 0.0, *about)] * len(points)
    for joint in seen:
        px, py = turned[joint]
        channels[joint] = (px / half, py / half, scores[joint], *about)
    rotation = (xx, xy, -a), (yx, yy, -b), (a, b, c)
    box = Box(np.array([(x, y)]), np.array([half]))
    return PersonInput(np.array([channels]), np.array([rotation]), box)


def _middle(points: list[Any]) -> tuple[float, float]:
    xs, ys = zip(*points, strict=True)
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def _half_size(points: list[Any]) -> float:
    xs, ys = zip(*points, strict=True)
    return max(max(max(xs) - min(xs), max(ys) - min(ys)) / 2, MIN_HALF_SIZE)


def image_input(xy: Array, image_size: Array) -> Array:
    """The `image` normalisation of the published checkpoints: x/w*2 - 1, y/w*2 - h/w."""
    xp = array_api_compat.array_namespace(xy)
    width, height = image_size[..., 0], image_size[..., 1]
    return xp.stack([xy[..., 0] / width * 2 - 1, xy[..., 1] / width * 2 - height / width], axis=-1)


def image_output(xy: Array, image_size: Array) -> Array:
    """The inverse of image_input."""
    xp = array_api_compat.array_namespace(xy)
    width, height = image_size[..., 0], image_size[..., 1]
    return xp.stack(
        [(xy[..., 0] + 1) * width / 2, (xy[..., 1] + height / width) * width / 2], axis=-1
    )


def hold_last_seen(xy: Array, score: Array, before: Array, centre: Array) -> tuple[Array, Array]:
    """For a model without a score channel: a joint not seen stays where it was last seen; before
    that, in the middle of the joints seen, and with none seen in the picture's `centre` (2,).

    NumPy only: xy (T, 17, 2), score (T, 17), before (17, 2) with NaN for never -> xy as held, and
    `before` for the next frame.
    """
    held, last = np.array(xy), np.array(before)
    for frame, seen in zip(held, score > 0, strict=True):
        last[seen] = frame[seen]
        never = np.isnan(last[:, 0])
        middle = frame[seen].mean(axis=0) if seen.any() else centre
        frame[:] = np.where(never[:, None], middle, last)
    return held, last


def mirror_pose(xyz: Array) -> Array:
    """Left for right: negate x and swap the sides; (..., 17, 2) or (..., 17, 3)."""
    xp = array_api_compat.array_namespace(xyz)
    swapped = xyz[..., _MIRROR, :]
    return xp.concat([-swapped[..., :1], swapped[..., 1:]], axis=-1)


def mirror_input(channels: Array) -> Array:
    """The network input of the mirrored picture: (..., 17, 2) or (..., 17, 6)."""
    xp = array_api_compat.array_namespace(channels)
    swapped = mirror_pose(channels)
    if channels.shape[-1] == IMAGE_CHANNELS:
        return swapped
    return xp.concat([swapped[..., :3], -swapped[..., 3:4], swapped[..., 4:]], axis=-1)


def _empty_like(xp: Any, other: Array, shape: tuple[int, ...]) -> Array:
    return xp.empty(shape, dtype=other.dtype, device=array_api_compat.device(other))


def _bounds(xp: Any, points: Array, mask: Array | None) -> tuple[Array, Array]:
    """Least and greatest coordinates (..., 2) of the joints in the mask (..., 1), None being all;
    of none, anything finite."""
    if mask is None:
        return _least(points, -2), _greatest(points, -2)
    low = _least(xp.where(mask, points, _FAR), -2)
    return low, _greatest(xp.where(mask, points, -_FAR), -2)


def _least(values: Array, axis: int) -> Array:
    return values.amin(axis) if array_api_compat.is_torch_array(values) else values.min(axis)


def _greatest(values: Array, axis: int) -> Array:
    return values.amax(axis) if array_api_compat.is_torch_array(values) else values.max(axis)


def _newest(xp: Any, flags: Array) -> Array | None:
    """For each frame (..., T) the newest frame up to it whose flag is set, or -1; None where that
    is each frame itself, as far as asking is cheap."""
    frames = xp.arange(flags.shape[-1], device=array_api_compat.device(flags))
    if array_api_compat.is_torch_array(flags):
        return xp.where(flags, frames, -1).cummax(-1).values
    return None if flags.all() else np.maximum.accumulate(np.where(flags, frames, -1), axis=-1)


def _carry(xp: Any, values: Array, before: Array, source: Array | None) -> Array:
    """values (..., T, [2]) taken at frame `source` (..., T), and `before` (..., [2]) where -1."""
    if source is None:
        return values
    wide = values.ndim > source.ndim
    index = source[..., None] if wide else source
    index = xp.broadcast_to(index, values.shape)
    axis = source.ndim - 1
    taken = xp.take_along_axis(values, xp.where(index < 0, 0, index), axis=axis)
    return xp.where(index < 0, xp.expand_dims(before, axis=axis), taken)
