"""Pixels <-> rays <-> what the network reads, and 3D turned to the person and back.

Axes everywhere: x right, y down, z forward. A ray is (X, Y) on the plane z = 1. Every function
takes NumPy arrays or torch tensors, because training simulates its cameras through the same code.

A frame's input depends on that frame alone (and, where too little of the person is seen, on the
last box before it), never on the window it is in: that is what lets a stream encode each frame
once. Only element-wise operations are used, so that the result is the same bits however many
frames are prepared at once.
"""

from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np

from model.skeleton import H36M17, Array

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
    x, y = ray[..., 0], ray[..., 1]
    length = xp.sqrt(x * x + y * y + 1)
    a, b, c = x / length, y / length, 1 / length
    k = 1 / (1 + c)
    across = -a * b * k
    rows = [1 - a * a * k, across, -a, across, 1 - b * b * k, -b, a, b, c]
    return xp.reshape(xp.stack(rows, axis=-1), (*x.shape, 3, 3))


def turn(xyz: Array, rotation: Array) -> Array:
    """Camera axes -> the axes turned to the person: xyz (..., J, 3), rotation (..., 3, 3)."""
    xp = array_api_compat.array_namespace(xyz)
    return xp.matmul(xyz, xp.matrix_transpose(rotation))


def turn_back(xyz: Array, rotation: Array) -> Array:
    """The inverse of turn."""
    return xyz @ rotation


def turn_rays(rays: Array, rotation: Array) -> Array:
    """Rays (..., J, 2) as the turned camera sees them."""
    xp = array_api_compat.array_namespace(rays)
    x, y = rays[..., 0], rays[..., 1]
    r = rotation[..., None, :, :]
    turned = [r[..., i, 0] * x + r[..., i, 1] * y + r[..., i, 2] for i in range(3)]
    depth = xp.where(turned[2] > MIN_DEPTH, turned[2], MIN_DEPTH)
    return xp.stack([turned[0] / depth, turned[1] / depth], axis=-1)


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
    rays = rays.clip(-MAX_RAY, MAX_RAY)  # xp.clip takes as long as all of rotation_to
    seen = score > 0
    source = _newest(xp, seen.sum(-1) >= MIN_SEEN)

    low, high = _bounds(xp, rays, seen)
    middle = _carry(xp, (low + high) / 2, before.middle, source)
    rotation = rotation_to(middle)
    turned = turn_rays(rays, rotation)
    low, high = _bounds(xp, turned, seen)
    half = xp.max(high - low, axis=-1) / 2
    half = xp.where(half > MIN_HALF_SIZE, half, MIN_HALF_SIZE)
    half = _carry(xp, half, before.half_size, source)

    xy = xp.where(seen[..., None], turned / half[..., None, None], 0.0)
    # float64, because the last bit of a float32 logarithm depends on the vector unit's lanes
    log_half = xp.astype(xp.log(xp.astype(half, xp.float64)), half.dtype)
    frame = xp.stack([rotation[..., 2, 0], rotation[..., 2, 1], log_half], axis=-1)
    frame = xp.broadcast_to(frame[..., None, :], (*xy.shape[:-1], 3))
    channels = xp.concat([xy, score[..., None], frame], axis=-1)
    return PersonInput(channels, rotation, Box(middle, half))


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


def _bounds(xp: Any, points: Array, seen: Array) -> tuple[Array, Array]:
    """Least and greatest coordinates (..., 2) of the seen joints; of none, anything finite."""
    mask = seen[..., None]
    low = xp.min(xp.where(mask, points, _FAR), axis=-2)
    return low, xp.max(xp.where(mask, points, -_FAR), axis=-2)


def _newest(xp: Any, flags: Array) -> Array | None:
    """For each frame (..., T) the newest frame up to it whose flag is set, or -1; None where that
    is each frame itself, as far as asking is cheap, which it is not on a GPU."""
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
