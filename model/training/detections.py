"""What a 2D detector would have said: noise, swaps, occlusion, lost joints and scores.

All spreads are shares of the body's height in the picture.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.training.cameras import Draw


@dataclass(frozen=True)
class Noise:
    """How a detector errs; an expert's starting values, to be replaced by a fit to real ones."""

    clean: float = 0.10  # share of windows without any error
    spread: tuple[float, float] = (0.002, 0.025)  # log-uniform, per window
    correlation: tuple[float, float] = (0.70, 0.95)  # between frames at 50 a second
    white: float = 0.3  # white part, of the spread
    bias: float = 0.4  # fixed part, of the spread
    limb_ends: float = 1.8  # wrists and ankles against hips
    burst: float = 0.10  # share of windows with a few frames of much larger error
    swap: float = 0.10  # share of windows with left and right exchanged for a while
    hidden: float = 3.0  # error of an occluded joint, times
    drops: float = 0.5  # share of detectors that give no position for what they do not see
    lost: float = 0.15  # share of windows that lose some joints
    absent: float = 0.03  # share of windows that lose the whole person for a while
    scoreless: float = 0.25  # share of sources without scores

    @staticmethod
    def none() -> "Noise":
        """Every joint where it is, seen for certain."""
        return Noise(clean=1.0, drops=0.0, scoreless=1.0)


@dataclass(frozen=True)
class Detections:
    """points (B, f, J, 2) long sides; score (B, f, J), 0 where a joint is not seen."""

    points: Tensor
    score: Tensor


_LEGS = ("knee", "ankle", "hip")
_ARMS = ("shoulder", "elbow", "wrist")


def detect(
    points: Tensor,
    depth: Tensor,
    image_size: Tensor,
    fps: Tensor,
    joints: tuple[str, ...],
    noise: Noise,
    draw: Draw,
) -> Detections:
    """Spoil the true points (B, f, J, 2) of joints at depth (B, f, J) m the way detectors do."""
    spoilt = ~draw.chance(noise.clean)[:, None, None]
    height = (points.amax(2) - points.amin(2)).amax(-1).clamp(0.02, 2.0)[..., None]  # (B, f, 1)
    spread = draw.log_uniform(*noise.spread)[:, None, None] * height * spoilt
    spread = spread * _joint_factors(joints, noise, points)

    hidden = _hidden(depth, draw) & spoilt
    outside = ((points < 0) | (points > image_size[:, None, None])).any(-1)
    unsure = hidden | (outside & spoilt)
    spread = spread * torch.where(unsure, noise.hidden, 1.0) * _burst(points, noise, draw)

    swapped = _swap(points, joints, noise, draw, spoilt)
    error = _correlated(points, fps, noise, draw)
    score = _score(spread / height, unsure, noise, draw)
    seen = ~_lost(points, spoilt, noise, draw)
    seen &= ~(outside & draw.chance(noise.drops)[:, None, None])
    return Detections(swapped + error * spread[..., None], score * seen)


def _joint_factors(joints: tuple[str, ...], noise: Noise, like: Tensor) -> Tensor:
    """How much worse each joint is than a hip."""
    ends = {"wrist": noise.limb_ends, "ankle": noise.limb_ends, "knee": 1.3, "elbow": 1.4}
    return like.new_tensor([ends.get(name.split("_")[-1], 1.0) for name in joints])


def _hidden(depth: Tensor, draw: Draw) -> Tensor:
    """The far side, in windows whose detector cannot see through the body: (B, f, J)."""
    behind = depth - depth.mean(dim=2, keepdim=True) > draw.uniform(0.08, 0.25)[:, None, None]
    return behind & draw.chance(0.5)[:, None, None]


def _spell(draw: Draw, frames: int, share: float, longest: int, device: torch.device) -> Tensor:
    """Frames (B, f) of one spell of 1..longest frames, in `share` of the windows."""
    start = draw.whole(1 - longest // 2, frames)
    length = draw.whole(1, longest + 1)
    time = torch.arange(frames, device=device)
    inside = (time >= start[:, None]) & (time < (start + length)[:, None])
    return inside & draw.chance(share)[:, None]


def _burst(points: Tensor, noise: Noise, draw: Draw) -> Tensor:
    frames = _spell(draw, points.shape[1], noise.burst, 6, points.device)
    joints = draw.chance(0.25, 1, points.shape[2])
    return torch.where(frames[..., None] & joints, 4.0, 1.0)


def _swap(
    points: Tensor, joints: tuple[str, ...], noise: Noise, draw: Draw, spoilt: Tensor
) -> Tensor:
    """Exchange legs, arms or both sides entirely, for 1-15 frames."""
    spell = _spell(draw, points.shape[1], noise.swap, 15, points.device)[..., None] & spoilt
    kind = draw.whole(0, 3)[:, None, None]  # 0 legs, 1 arms, 2 all
    limb = torch.tensor(
        [0 if name.endswith(_LEGS) else 1 if name.endswith(_ARMS) else 2 for name in joints],
        device=points.device,
    )
    exchange = spell & ((kind == 2) | (kind == limb))
    return torch.where(exchange[..., None], points[:, :, _mirror(joints)], points)


def _mirror(joints: tuple[str, ...]) -> list[int]:
    other = {"left": "right", "right": "left"}
    names = [
        "_".join([other.get(head, head), *rest]) for head, *rest in (n.split("_") for n in joints)
    ]
    return [joints.index(name) for name in names]


def _correlated(points: Tensor, fps: Tensor, noise: Noise, draw: Draw) -> Tensor:
    """Error of unit spread that moves slowly, plus white and a fixed part: (B, f, J, 2)."""
    frames, joints = points.shape[1:3]
    fresh = draw.normal(0, 1, frames, joints, 2)
    rho = draw.uniform(*noise.correlation)[:, None, None] ** (50 / fps)[:, None, None]
    rest = (1 - rho**2).sqrt()
    slow = [fresh[:, 0]]
    for frame in fresh.unbind(1)[1:]:
        slow.append(rho * slow[-1] + rest * frame)
    white = draw.normal(0, noise.white, frames, joints, 2)
    return torch.stack(slow, dim=1) + white + draw.normal(0, noise.bias, 1, joints, 2)


def _score(spread: Tensor, unsure: Tensor, noise: Noise, draw: Draw) -> Tensor:
    """Lower where the error is larger, by a rule that differs from source to source."""
    steep = draw.uniform(0.0, 12.0)[:, None, None]
    wobble = draw.normal(0, 0.04, *spread.shape[1:])
    told = torch.where(unsure, draw.uniform(0.1, 0.9)[:, None, None], 1.0)
    score = ((1 - steep * spread).clamp(min=0.1) * told + wobble).clamp(0.05, 1.0)
    silent = draw.chance(noise.scoreless)[:, None, None]
    return torch.where(silent, 1.0, score)


def _lost(points: Tensor, spoilt: Tensor, noise: Noise, draw: Draw) -> Tensor:
    """Joints (B, f, J) that the detector does not give at all."""
    frames, joints = points.shape[1:3]
    some = _spell(draw, frames, noise.lost, 2 * frames, points.device)[..., None]
    some = some & draw.chance(0.2, 1, joints)
    person = _spell(draw, frames, noise.absent, 8, points.device)[..., None]
    return (some | person) & spoilt
