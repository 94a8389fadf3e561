"""What a 2D detector would have said: noise, swaps, occlusion, lost joints and scores.

All spreads are shares of the body's height in the picture.
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
"""What `poselift fit-noise` wrote; docs/detector-noise.md shows and judges it."""


@cache
def _fitted_values() -> Mapping[str, Any]:
    text = resources.files("model.training.simulation").joinpath(FITTED).read_text()
    values: Mapping[str, Any] = json.loads(text)["noise"]
    return values


def _fitted(name: str) -> Any:
    """A field whose default is what was fitted under that name."""
    return field(default_factory=lambda: _fitted_values()[name])


@dataclass(frozen=True)
class Noise:
    """How a detector errs: fitted to a real one where a default is `_fitted`, an expert's values
    elsewhere. `score_table` holds scores and the error that goes with each, in those of the best.
    """

    clean: float = 0.10  # share of windows without any error
    spread: tuple[float, float] = _fitted("spread")  # log-uniform, per window
    correlation: tuple[float, float] = _fitted("correlation")  # between frames at 50 a second
    white: float = _fitted("white")  # white part, of the spread
    bias: float = 0.4  # fixed part, of the spread
    joints: Mapping[str, float] = _fitted("joints")  # a joint's error against a hip's
    burst: float = _fitted("burst")  # share of windows with a few frames of much larger error
    burst_times: float = _fitted("burst_times")  # how much larger
    burst_joints: float = _fitted("burst_joints")  # share of the joints that burst
    burst_longest: int = _fitted("burst_longest")  # frames
    swap: float = _fitted("swap")  # share of windows with left and right exchanged for a while
    swap_longest: int = _fitted("swap_longest")  # frames
    swap_kinds: tuple[float, float, float] = _fitted("swap_kinds")  # shares of legs, arms, all
    hidden: float = _fitted("hidden")  # error of an occluded joint, times
    lost: float = _fitted("lost")  # share of windows in which some joints are hardly seen
    lost_joints: float = _fitted("lost_joints")  # share of the joints of such a window
    drops: float = 0.5  # share of detectors that give no position for what they do not see
    absent: float = _fitted("absent")  # share of windows that lose the whole person for a while
    scoreless: float = 0.25  # share of sources without scores
    scored_alike: float = _fitted("scored_alike")  # share of the others that score as the fitted
    through_table: float = 0.5  # share of those whose scores went through the table
    score_table: Mapping[str, tuple[float, ...]] = _fitted("score_table")
    score_jitter: float = _fitted("score_jitter")  # log-odds, from frame to frame
    score_offset: float = _fitted("score_offset")  # log-odds, from person to person

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
    outside = ((points < 0) | (points > image_size[:, None, None])).any(-1)
    unseen = (outside | _lost(points, noise, draw)) & spoilt
    unsure = (_hidden(depth, draw) & spoilt) | unseen
    times = _joint_factors(joints, noise, points) * torch.where(unsure, noise.hidden, 1.0)
    times = times * _burst(points, noise, draw)
    level = draw.log_uniform(*noise.spread)[:, None, None] * spoilt

    swapped = _swap(points, joints, noise, draw, spoilt)
    error = _correlated(points, fps, noise, draw)
    score = _score(level, times, unsure, noise, draw)
    seen = ~_absent(points, noise, draw) | ~spoilt
    seen = seen & ~((unseen | outside) & draw.chance(noise.drops)[:, None, None])
    return Detections(swapped + error * (level * height * times)[..., None], score * seen)


def _joint_factors(joints: tuple[str, ...], noise: Noise, like: Tensor) -> Tensor:
    """How much worse each joint is than a hip."""
    return like.new_tensor([noise.joints.get(name.split("_")[-1], 1.0) for name in joints])


def _hidden(depth: Tensor, draw: Draw) -> Tensor:
    """The far side, in windows whose detector cannot see through the body: (B, f, J)."""
    behind = depth - depth.mean(dim=2, keepdim=True) > draw.uniform(0.08, 0.25)[:, None, None]
    return behind & draw.chance(0.5)[:, None, None]


def _spell(draw: Draw, frames: int, share: float, longest: int, device: torch.device) -> Tensor:
    """Frames (B, f) of one spell of 1..longest frames, in `share` of the windows. Short spells
    are the most frequent, as in what was measured: lengths are log-uniform."""
    length = draw.log_uniform(1.0, longest + 1.0).floor().clamp(max=longest)
    first = (draw.uniform(0, 1) * (frames + length - 1)).floor() - length + 1
    time = torch.arange(frames, device=device)
    inside = (time >= first[:, None]) & (time < (first + length)[:, None])
    return inside & draw.chance(share)[:, None]


def _burst(points: Tensor, noise: Noise, draw: Draw) -> Tensor:
    frames = _spell(draw, points.shape[1], noise.burst, noise.burst_longest, points.device)
    joints = draw.chance(noise.burst_joints, 1, points.shape[2])
    return torch.where(frames[..., None] & joints, noise.burst_times, 1.0)


def _swap(
    points: Tensor, joints: tuple[str, ...], noise: Noise, draw: Draw, spoilt: Tensor
) -> Tensor:
    """Exchange legs, arms or both sides entirely, for some frames."""
    spell = _spell(draw, points.shape[1], noise.swap, noise.swap_longest, points.device)
    spell = spell[..., None] & spoilt
    legs, arms, _ = noise.swap_kinds
    lot = draw.uniform(0, 1)[:, None, None]
    kind = (lot >= legs).int() + (lot >= legs + arms).int()  # 0 legs, 1 arms, 2 all
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


def _score(level: Tensor, times: Tensor, unsure: Tensor, noise: Noise, draw: Draw) -> Tensor:
    """Scores (B, f, J) of errors of `level` (B, 1, 1) times `times` (B, f, J): as the fitted
    detector gives them, by a rule that differs from source to source, or none at all."""
    alike = draw.chance(noise.scored_alike)[:, None, None]
    told = _told_score(level * times, unsure, draw)
    score = torch.where(alike, _fitted_score(times * (level > 0) + (level == 0), noise, draw), told)
    silent = draw.chance(noise.scoreless)[:, None, None]
    return torch.where(silent, 1.0, score)


def _told_score(spread: Tensor, unsure: Tensor, draw: Draw) -> Tensor:
    """Lower where the error is larger, more or less steeply."""
    steep = draw.uniform(0.0, 12.0)[:, None, None]
    wobble = draw.normal(0, 0.04, *spread.shape[1:])
    told = torch.where(unsure, draw.uniform(0.1, 0.9)[:, None, None], 1.0)
    return ((1 - steep * spread).clamp(min=0.1) * told + wobble).clamp(0.05, 1.0)


def _fitted_score(times: Tensor, noise: Noise, draw: Draw) -> Tensor:
    """The score that goes with an error `times` that of a hip, raw or through the table."""
    scores, errors = (times.new_tensor(noise.score_table[name]) for name in ("scores", "times"))
    frames, joints = times.shape[1:]
    odds = torch.logit(_interpolate(times, errors.flip(0), scores.flip(0)), eps=1e-5)
    odds = odds + draw.normal(0, noise.score_offset, 1, joints)
    raw = (odds + draw.normal(0, noise.score_jitter, frames, joints)).sigmoid()
    reliability = 1 / _interpolate(raw, scores, errors)
    through = draw.chance(noise.through_table)[:, None, None]
    return torch.where(through, reliability, raw).clamp(0.005, 1.0)


def _interpolate(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Linear between rising x (K,) with y (K,); held beyond the ends."""
    at = at.clamp(float(x[0]), float(x[-1]))
    right = torch.searchsorted(x, at.contiguous()).clamp(1, len(x) - 1)
    share = (at - x[right - 1]) / (x[right] - x[right - 1])
    return torch.lerp(y[right - 1], y[right], share)


def _lost(points: Tensor, noise: Noise, draw: Draw) -> Tensor:
    """Joints (B, f, J) that the detector hardly sees: placed badly, or not at all."""
    frames, joints = points.shape[1:3]
    spell = _spell(draw, frames, noise.lost, 2 * frames, points.device)[..., None]
    return spell & draw.chance(noise.lost_joints, 1, joints)


def _absent(points: Tensor, noise: Noise, draw: Draw) -> Tensor:
    """Frames (B, f, 1) without the person."""
    return _spell(draw, points.shape[1], noise.absent, 8, points.device)[..., None]
