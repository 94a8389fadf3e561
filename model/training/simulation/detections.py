"""Simulated 2D detections: noise, left/right swaps, occlusion, lost joints and scores.

All spreads are shares of the body's height in the image.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import torch
from torch import Tensor

from model.training.simulation.cameras import Draw

FITTED = "detector_noise.json"
"""Written by `poselift fit-noise`; docs/detector-noise.md discusses it."""


@cache
def _fitted_values() -> Mapping[str, Any]:
    text = resources.files("model.training.simulation").joinpath(FITTED).read_text()
    values: Mapping[str, Any] = json.loads(text)["noise"]
    return values


def _fitted(name: str) -> Any:
    """A field whose default is the fitted value of that name."""
    return field(default_factory=lambda: _fitted_values()[name])


@dataclass(frozen=True)
class Noise:
    """Parameters of detection noise: `_fitted` ones are measured on a real detector, the others
    are expert estimates. `score_table` maps scores to errors relative to that of the best score.
    """

    clean: float = 0.10  # share of windows without any error
    spread: tuple[float, float] = _fitted("spread")  # log-uniform, per window
    correlation: tuple[float, float] = _fitted("correlation")  # between frames at 50 a second
    white: float = _fitted("white")  # white part, relative to the spread
    bias: float = 0.4  # constant part, relative to the spread
    joints: Mapping[str, float] = _fitted("joints")  # a joint's error relative to a hip's
    burst: float = _fitted("burst")  # share of windows with a burst: a few frames of large error
    burst_times: float = _fitted("burst_times")  # error factor during a burst
    burst_joints: float = _fitted("burst_joints")  # share of the joints that burst
    burst_longest: int = _fitted("burst_longest")  # frames
    swap: float = _fitted("swap")  # share of windows with a left/right swap
    swap_longest: int = _fitted("swap_longest")  # frames
    swap_kinds: tuple[float, float, float] = _fitted("swap_kinds")  # shares of legs, arms, all
    hidden: float = _fitted("hidden")  # error factor of an occluded joint
    lost: float = _fitted("lost")  # share of windows in which some joints are lost
    lost_joints: float = _fitted("lost_joints")  # share of the joints of such a window
    drops: float = 0.5  # share of detectors that return no position for unseen joints
    absent: float = _fitted("absent")  # share of windows with frames without the person
    scoreless: float = 0.25  # share of sources without scores
    scored_alike: float = _fitted("scored_alike")  # share of the others with the fitted scores
    through_table: float = 0.5  # share of those whose scores are mapped by the table
    score_table: Mapping[str, tuple[float, ...]] = _fitted("score_table")
    score_jitter: float = _fitted("score_jitter")  # log-odds, from frame to frame
    score_offset: float = _fitted("score_offset")  # log-odds, from person to person

    @staticmethod
    def none() -> "Noise":
        """True positions, all scores 1."""
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
    """Add detection noise to the true points (B, f, J, 2) of joints at depth (B, f, J) m."""
    noisy = ~draw.chance(noise.clean)[:, None, None]
    height = (points.amax(2) - points.amin(2)).amax(-1).clamp(0.02, 2.0)[..., None]  # (B, f, 1)
    outside = ((points < 0) | (points > image_size[:, None, None])).any(-1)
    unseen = (outside | _lost(points, noise, draw)) & noisy
    unsure = (_hidden(depth, draw) & noisy) | unseen
    times = _joint_factors(joints, noise, points) * torch.where(unsure, noise.hidden, 1.0)
    times = times * _burst(points, noise, draw)
    level = draw.log_uniform(*noise.spread)[:, None, None] * noisy

    swapped = _swap(points, joints, noise, draw, noisy)
    error = _correlated(points, fps, noise, draw)
    score = _score(level, times, unsure, noise, draw)
    seen = ~_absent(points, noise, draw) | ~noisy
    seen = seen & ~((unseen | outside) & draw.chance(noise.drops)[:, None, None])
    return Detections(swapped + error * (level * height * times)[..., None], score * seen)


def _joint_factors(joints: tuple[str, ...], noise: Noise, like: Tensor) -> Tensor:
    """The error of each joint relative to a hip's: (J,)."""
    return like.new_tensor([noise.joints.get(name.split("_")[-1], 1.0) for name in joints])


def _hidden(depth: Tensor, draw: Draw) -> Tensor:
    """Joints (B, f, J) occluded by the body, in half of the windows."""
    behind = depth - depth.mean(dim=2, keepdim=True) > draw.uniform(0.08, 0.25)[:, None, None]
    return behind & draw.chance(0.5)[:, None, None]


def _interval(draw: Draw, frames: int, share: float, longest: int, device: torch.device) -> Tensor:
    """Frames (B, f) of one interval of 1..longest frames, in `share` of the windows. Lengths are
    log-uniform, since short intervals are the most frequent in the measurements."""
    length = draw.log_uniform(1.0, longest + 1.0).floor().clamp(max=longest)
    first = (draw.uniform(0, 1) * (frames + length - 1)).floor() - length + 1
    time = torch.arange(frames, device=device)
    inside = (time >= first[:, None]) & (time < (first + length)[:, None])
    return inside & draw.chance(share)[:, None]


def _burst(points: Tensor, noise: Noise, draw: Draw) -> Tensor:
    frames = _interval(draw, points.shape[1], noise.burst, noise.burst_longest, points.device)
    joints = draw.chance(noise.burst_joints, 1, points.shape[2])
    return torch.where(frames[..., None] & joints, noise.burst_times, 1.0)


def _swap(
    points: Tensor, joints: tuple[str, ...], noise: Noise, draw: Draw, noisy: Tensor
) -> Tensor:
    """Swap left and right of legs, arms or the whole body for some frames."""
    interval = _interval(draw, points.shape[1], noise.swap, noise.swap_longest, points.device)
    interval = interval[..., None] & noisy
    legs, arms, _ = noise.swap_kinds
    number = draw.uniform(0, 1)[:, None, None]
    kind = (number >= legs).int() + (number >= legs + arms).int()  # 0 legs, 1 arms, 2 all
    limb = torch.tensor(
        [0 if name.endswith(_LEGS) else 1 if name.endswith(_ARMS) else 2 for name in joints],
        device=points.device,
    )
    swapped = interval & ((kind == 2) | (kind == limb))
    return torch.where(swapped[..., None], points[:, :, _mirror(joints)], points)


def _mirror(joints: tuple[str, ...]) -> list[int]:
    other = {"left": "right", "right": "left"}
    names = [
        "_".join([other.get(head, head), *rest]) for head, *rest in (n.split("_") for n in joints)
    ]
    return [joints.index(name) for name in names]


def _correlated(points: Tensor, fps: Tensor, noise: Noise, draw: Draw) -> Tensor:
    """First-order correlated error of unit spread, plus white noise and bias: (B, f, J, 2)."""
    frames, joints = points.shape[1:3]
    fresh = draw.normal(0, 1, frames, joints, 2)
    rho = draw.uniform(*noise.correlation)[:, None, None] ** (50 / fps)[:, None, None]
    rest = (1 - rho**2).sqrt()
    slow = [fresh[:, 0]]
    for frame in fresh.unbind(1)[1:]:
        slow.append(rho * slow[-1] + rest * frame)
    white = draw.normal(0, noise.white, frames, joints, 2)
    return torch.stack(slow, dim=1) + white + draw.normal(0, noise.bias, 1, joints, 2)


def _score(level: Tensor, times: Tensor, unsure: Tensor, noise: Noise, draw: Draw) -> Tensor:
    """Scores (B, f, J) for errors of `level` (B, 1, 1) times `times` (B, f, J): those of the fitted
    detector, of a random rule, or 1 for a source without scores."""
    alike = draw.chance(noise.scored_alike)[:, None, None]
    ruled = _rule_score(level * times, unsure, draw)
    fitted = _fitted_score(times * (level > 0) + (level == 0), noise, draw)
    score = torch.where(alike, fitted, ruled)
    scoreless = draw.chance(noise.scoreless)[:, None, None]
    return torch.where(scoreless, 1.0, score)


def _rule_score(spread: Tensor, unsure: Tensor, draw: Draw) -> Tensor:
    """Scores that fall with the error, with a random slope."""
    steep = draw.uniform(0.0, 12.0)[:, None, None]
    wobble = draw.normal(0, 0.04, *spread.shape[1:])
    factor = torch.where(unsure, draw.uniform(0.1, 0.9)[:, None, None], 1.0)
    return ((1 - steep * spread).clamp(min=0.1) * factor + wobble).clamp(0.05, 1.0)


def _fitted_score(times: Tensor, noise: Noise, draw: Draw) -> Tensor:
    """The fitted detector's score for an error of `times` a hip's, raw or mapped by the table."""
    scores, errors = (times.new_tensor(noise.score_table[name]) for name in ("scores", "times"))
    frames, joints = times.shape[1:]
    odds = torch.logit(_interpolate(times, errors.flip(0), scores.flip(0)), eps=1e-5)
    odds = odds + draw.normal(0, noise.score_offset, 1, joints)
    raw = (odds + draw.normal(0, noise.score_jitter, frames, joints)).sigmoid()
    reliability = 1 / _interpolate(raw, scores, errors)
    through = draw.chance(noise.through_table)[:, None, None]
    return torch.where(through, reliability, raw).clamp(0.005, 1.0)


def _interpolate(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Linear interpolation of y (K,) over increasing x (K,); constant beyond the ends."""
    at = at.clamp(float(x[0]), float(x[-1]))
    right = torch.searchsorted(x, at.contiguous()).clamp(1, len(x) - 1)
    share = (at - x[right - 1]) / (x[right] - x[right - 1])
    return torch.lerp(y[right - 1], y[right], share)


def _lost(points: Tensor, noise: Noise, draw: Draw) -> Tensor:
    """Joints (B, f, J) that the detector places badly or not at all."""
    frames, joints = points.shape[1:3]
    interval = _interval(draw, frames, noise.lost, 2 * frames, points.device)[..., None]
    return interval & draw.chance(noise.lost_joints, 1, joints)


def _absent(points: Tensor, noise: Noise, draw: Draw) -> Tensor:
    """Frames (B, f, 1) without the person."""
    return _interval(draw, points.shape[1], noise.absent, 8, points.device)[..., None]
