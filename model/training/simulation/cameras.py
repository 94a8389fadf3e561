"""Simulated cameras: pose, projection and the focal length that the lifter assumes.

Image coordinates are in long sides: the image's longer side is 1, so training is independent of
the resolution.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.lifting.camera import rotation_to
from model.training.recordings import CANONICAL_HEIGHT_M

_IMAGE_SIZES = ((1.0, 9 / 16), (9 / 16, 1.0), (1.0, 0.75), (0.75, 1.0), (1.0, 1.0))
_IMAGE_SIZE_SHARES = (0.45, 0.25, 0.12, 0.08, 0.10)


@dataclass(frozen=True)
class CameraRanges:
    """Distributions of camera parameters. Angles in degrees, shares 0..1."""

    focal: tuple[float, float] = (0.7, 2.0)  # long sides, log-uniform
    focal_unknown: float = 0.5  # share of requests without a focal length
    body_height: tuple[float, float] = (0.2, 0.95)  # of the image's height
    pitch: tuple[float, float] = (5.0, 12.0)  # mean and standard deviation, downwards
    elevation: tuple[float, float] = (-20.0, 50.0)  # limits of the line of sight
    roll: float = 4.0  # standard deviation
    cut: float = 0.15  # share of bodies that may cross an image border
    moving: float = 0.15  # share of cameras that pan
    pan: tuple[float, float] = (12.0, 4.0)  # standard deviation of yaw and pitch, degrees/s


@dataclass(frozen=True)
class Cameras:
    """B cameras over f frames.

    rotation (B, f, 3, 3) and offset (B, 1, 1, 3) take world metres (relative to `origin`
    (B, 1, 1, 3)) to camera axes; focal (B,) and image_size (B, 2) in long sides;
    assumed_focal (B,) is the focal length that the lifter assumes.
    """

    rotation: Tensor
    offset: Tensor
    pan: Tensor
    origin: Tensor
    focal: Tensor
    assumed_focal: Tensor
    image_size: Tensor

    def to_camera(self, world: Tensor) -> Tensor:
        """World (B, f, J, 3) m -> camera axes, depth at least 0.2 m."""
        xyz = (world - self.origin) @ self.rotation.mT[:, None] + self.offset
        xyz = xyz @ self.pan.mT
        depth = xyz[..., 2:].clamp(min=0.2)
        return torch.cat([xyz[..., :2], depth], dim=-1)

    def project(self, xyz: Tensor) -> Tensor:
        """Camera axes (B, f, J, 3) m -> image (B, f, J, 2) in long sides from the top left."""
        rays = xyz[..., :2] / xyz[..., 2:]
        return rays * self.focal[:, None, None, None] + self.image_size[:, None, None] / 2


def draw_cameras(
    body: Tensor, fps: Tensor, ranges: CameraRanges, generator: torch.Generator
) -> Cameras:
    """A camera for each window of body (B, f, 17, 3) in world metres, at fps (B,)."""
    draw = Draw(len(body), body.device, generator)
    focal = draw.log_uniform(*ranges.focal)
    image_size = draw.choice(_IMAGE_SIZES, _IMAGE_SIZE_SHARES)
    share = draw.uniform(*ranges.body_height)
    distance = CANONICAL_HEIGHT_M * focal / (share * image_size[:, 1])

    ray = _image_position(draw, share, image_size, ranges) / focal[:, None]
    pitch = draw.normal(*ranges.pitch) + torch.rad2deg(ray[:, 1].atan())
    pitch = torch.deg2rad(pitch.clamp(*ranges.elevation))
    roll = torch.deg2rad(draw.normal(0, ranges.roll))
    yaw = draw.uniform(0, 2 * torch.pi)
    up_to_down = torch.diag(body.new_tensor([1.0, -1.0, -1.0]))  # world Y up -> camera y down
    facing = _about(2, roll) @ _about(0, pitch) @ _about(1, yaw) @ up_to_down
    off_axis = rotation_to(ray).mT  # from a camera that points at the person

    forward = torch.stack([torch.zeros_like(distance)] * 2 + [distance], dim=-1)
    unknown = draw.chance(ranges.focal_unknown)
    return Cameras(
        rotation=off_axis @ facing,
        offset=(off_axis @ forward[..., None]).mT[:, None],
        pan=_pan(draw, body.shape[1], fps, ranges),
        origin=body.mean(dim=(1, 2), keepdim=True),
        focal=focal,
        assumed_focal=torch.where(unknown, torch.ones_like(focal), focal),
        image_size=image_size,
    )


class Draw:
    """Random numbers for B windows: each method returns (B, *shape)."""

    def __init__(self, windows: int, device: torch.device, generator: torch.Generator):
        self.windows = windows
        self.device = device
        self.generator = generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return (
            torch.rand((self.windows, *shape), device=self.device, generator=self.generator)
            * (high - low)
            + low
        )

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        ends = torch.tensor([low, high]).log()
        return self.uniform(float(ends[0]), float(ends[1]), *shape).exp()

    def normal(self, mean: float, spread: float, *shape: int) -> Tensor:
        return (
            torch.randn((self.windows, *shape), device=self.device, generator=self.generator)
            * spread
            + mean
        )

    def chance(self, share: float, *shape: int) -> Tensor:
        return (
            torch.rand((self.windows, *shape), device=self.device, generator=self.generator) < share
        )

    def whole(self, low: int, high: int, *shape: int) -> Tensor:
        """Integers low..high - 1."""
        return torch.randint(
            low, high, (self.windows, *shape), device=self.device, generator=self.generator
        )

    def choice(self, options: tuple[tuple[float, ...], ...], shares: tuple[float, ...]) -> Tensor:
        """One row of `options` per window: (B, n)."""
        weights = torch.tensor(shares, device=self.device)
        index = torch.multinomial(weights, self.windows, replacement=True, generator=self.generator)
        return torch.tensor(options, device=self.device)[index]


def _image_position(draw: Draw, share: Tensor, image_size: Tensor, ranges: CameraRanges) -> Tensor:
    """Position of the body's middle in the image: (B, 2) long sides from the centre."""
    body = share[:, None] * image_size[:, 1:] * share.new_tensor([0.45, 1.0])
    cut = draw.chance(ranges.cut)[:, None]
    limit = torch.where(cut, image_size, (image_size - body).clamp(min=0)) / 2
    return draw.uniform(-1, 1, 2) * limit


def _pan(draw: Draw, frames: int, fps: Tensor, ranges: CameraRanges) -> Tensor:
    """Rotation (B, f, 3, 3) of a panning camera; identity at the middle frame."""
    time = (torch.arange(frames, device=fps.device) - (frames - 1) / 2) / fps[:, None]
    moves = draw.chance(ranges.moving)[:, None]
    yaw, pitch = (
        torch.deg2rad(draw.normal(0, spread))[:, None] * time * moves for spread in ranges.pan
    )
    limit = torch.pi / 12
    return _about(0, pitch.clamp(-limit, limit)) @ _about(1, yaw.clamp(-limit, limit))


def _about(axis: int, angle: Tensor) -> Tensor:
    """Rotation (..., 3, 3) about a coordinate axis, right-handed; angle in radians."""
    cos, sin = angle.cos(), angle.sin()
    one, zero = torch.ones_like(cos), torch.zeros_like(cos)
    rows = {
        0: (one, zero, zero, zero, cos, -sin, zero, sin, cos),
        1: (cos, zero, sin, zero, one, zero, -sin, zero, cos),
        2: (cos, -sin, zero, sin, cos, zero, zero, zero, one),
    }[axis]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))
