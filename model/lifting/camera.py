"""Camera geometry: pixels <-> rays <-> network input, and 3D poses rotated to the person and back.

Axes: x right, y down, z forward. A ray is (X, Y) on the plane z = 1. Functions take NumPy arrays or
torch tensors, because training simulates its cameras through the same code.

A frame's input depends only on that frame (and, with too few visible joints, on the last box before
it), never on its window, so a stream encodes each frame once. All operations are element-wise, so
results are bit-identical however many frames are prepared at once.
"""

import math
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np

from model.keypoints.skeleton import H36M17, Array

MIN_SEEN = 4
"""A frame needs this many seen joints for a box of its own."""
MAX_RAY = 10.0
"""Rays are clipped at 84 degrees from the optical axis."""
MIN_HALF_SIZE = 1e-3
"""Lower limit of a box's half side on the plane z = 1."""
MIN_DEPTH = 1e-2
"""Keeps rotated rays in front of the camera."""
PERSON_CHANNELS = 6
"""x, y, score, box direction x, box direction y, log of the box's half size."""
IMAGE_CHANNELS = 2

_FAR = 1e9
_MIRROR = list(H36M17.mirror)


@dataclass(frozen=True)
class Box:
    """A person's box: middle (..., 2) as a ray, half the longer side after rotation (...)."""

    middle: Array
    half_size: Array


@dataclass(frozen=True)
class PersonInput:
    """channels (..., T, 17, 6) for the network; rotation (..., T, 3, 3), camera -> rotated axes;
    box of each frame."""

    channels: Array
    rotation: Array
    box: Box


def pixels_to_rays(xy: Array, image_size: Array, focal_px: Array) -> Array:
    """(..., 2) px -> rays; the principal point is the middle of the image."""
    return (xy - image_size / 2) / focal_px


def rays_to_pixels(rays: Array, image_size: Array, focal_px: Array) -> Array:
    """The inverse of pixels_to_rays."""
    return rays * focal_px + image_size / 2


def rotation_to(ray: Array) -> Array:
    """The smallest rotation (..., 3, 3) from a ray (..., 2) to the optical axis.

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
    """Camera axes -> rotated axes: xyz (..., J, 3), rotation (..., 3, 3)."""
    xp = array_api_compat.array_namespace(xyz)
    return xp.matmul(xyz, xp.matrix_transpose(rotation))


def turn_back(xyz: Array, rotation: Array) -> Array:
    """The inverse of turn."""
    return xyz @ rotation


def turn_rays(rays: Array, rotation: Array) -> Array:
    """Rays (..., J, 2) seen from the rotated camera."""
    parts = rotation[..., None, :, :2] * rays[..., None, :]  # (..., J, 3, 2)
    turned = parts[..., 0] + parts[..., 1] + rotation[..., None, :, 2]
    return turned[..., :2] / turned[..., 2:].clip(MIN_DEPTH)


def whole_image(image_size: Array, focal_px: Array) -> Box:
    """The box before the first person was seen."""
    xp = array_api_compat.array_namespace(image_size)
    half = xp.max(image_size / (2 * focal_px), axis=-1)
    return Box(middle=xp.zeros_like(image_size / focal_px), half_size=half)


def person_input(rays: Array, score: Array, before: Box) -> PersonInput:
    """The `person` normalisation: each frame seen by a camera rotated towards the person.

    rays (..., T, 17, 2); score (..., T, 17), 0 for an unseen joint; `before`: the box (...) of the
    frame before the first. A frame with fewer than MIN_SEEN seen joints keeps the last box.
    """
    xp = array_api_compat.array_namespace(rays)
    rays = rays.clip(-MAX_RAY, MAX_RAY)
    seen = score > 0
    # the masks are skipped if all joints are seen, a test that is too slow on a GPU
    whole = not array_api_compat.is_torch_array(seen) and bool(seen.all())
    source = None if whole else _latest(xp, seen.sum(-1) >= MIN_SEEN)
    mask = None if whole else seen[..., None]

    low, high = _bounds(xp, rays, mask)
    middle = _carry(xp, (low + high) / 2, before.middle, source)
    rotation = rotation_to(middle)
    turned = turn_rays(rays, rotation)
    low, high = _bounds(xp, turned, mask)
    half = (_maximum(high - low, -1) / 2).clip(MIN_HALF_SIZE)
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
    """`person_input` of one frame, (1, 17, 2) and (1, 17), in Python floats: three times as fast or
    more, for the latency of live streams. The steps and their order are the same, so results are
    bit-identical in float64."""
    points, scores = rays[0].clip(-MAX_RAY, MAX_RAY).tolist(), score[0].tolist()
    seen = [joint for joint, value in enumerate(scores) if value > 0]
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
    box_channels = a, b, math.log(half)
    channels = [(0.0, 0.0, 0.0, *box_channels)] * len(points)
    for joint in seen:
        px, py = turned[joint]
        channels[joint] = (px / half, py / half, scores[joint], *box_channels)
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
    """Fill unseen joints for a model without a score channel: with their last position, else with
    the middle of the joints seen in the frame, else with the image's `centre` (2,).

    NumPy only: xy (T, 17, 2), score (T, 17), before (17, 2) with NaN for joints never seen ->
    filled xy, and `before` for the next frame.
    """
    held, last = np.array(xy), np.array(before)
    for frame, seen in zip(held, score > 0, strict=True):
        last[seen] = frame[seen]
        never = np.isnan(last[:, 0])
        middle = frame[seen].mean(axis=0) if seen.any() else centre
        frame[:] = np.where(never[:, None], middle, last)
    return held, last


def mirror_pose(xyz: Array) -> Array:
    """Negate x and swap left and right: (..., 17, 2) or (..., 17, 3)."""
    xp = array_api_compat.array_namespace(xyz)
    swapped = xyz[..., _MIRROR, :]
    return xp.concat([-swapped[..., :1], swapped[..., 1:]], axis=-1)


def mirror_input(channels: Array) -> Array:
    """The network input of the mirrored image: (..., 17, 2) or (..., 17, 6)."""
    xp = array_api_compat.array_namespace(channels)
    swapped = mirror_pose(channels)
    if channels.shape[-1] == IMAGE_CHANNELS:
        return swapped
    return xp.concat([swapped[..., :3], -swapped[..., 3:4], swapped[..., 4:]], axis=-1)


def _empty_like(xp: Any, other: Array, shape: tuple[int, ...]) -> Array:
    return xp.empty(shape, dtype=other.dtype, device=array_api_compat.device(other))


def _bounds(xp: Any, points: Array, mask: Array | None) -> tuple[Array, Array]:
    """Minimum and maximum (..., 2) over the joints in the mask (..., 1), or over all for None; any
    finite values for an empty mask."""
    if mask is None:
        return _minimum(points, -2), _maximum(points, -2)
    low = _minimum(xp.where(mask, points, _FAR), -2)
    return low, _maximum(xp.where(mask, points, -_FAR), -2)


def _minimum(values: Array, axis: int) -> Array:
    return values.amin(axis) if array_api_compat.is_torch_array(values) else values.min(axis)


def _maximum(values: Array, axis: int) -> Array:
    return values.amax(axis) if array_api_compat.is_torch_array(values) else values.max(axis)


def _latest(xp: Any, flags: Array) -> Array | None:
    """For each frame (..., T) the newest frame up to it whose flag is set, or -1; with NumPy, None
    if all flags are set."""
    frames = xp.arange(flags.shape[-1], device=array_api_compat.device(flags))
    if array_api_compat.is_torch_array(flags):
        return xp.where(flags, frames, -1).cummax(-1).values
    return None if flags.all() else np.maximum.accumulate(np.where(flags, frames, -1), axis=-1)


def _carry(xp: Any, values: Array, before: Array, source: Array | None) -> Array:
    """values (..., T, [2]) at the frames `source` (..., T), or `before` (..., [2]) where -1."""
    if source is None:
        return values
    wide = values.ndim > source.ndim
    index = source[..., None] if wide else source
    index = xp.broadcast_to(index, values.shape)
    axis = source.ndim - 1
    taken = xp.take_along_axis(values, xp.where(index < 0, 0, index), axis=axis)
    return xp.where(index < 0, xp.expand_dims(before, axis=axis), taken)
