"""Training settings with their defaults, the learning rate schedule and the loss."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model.errors import InvalidInput
from model.training.networks.poseformer import Readouts


@dataclass(frozen=True)
class Recipe:
    """Exactly one of `windows` and `minutes` sets the length of the run. The learning rate depends
    on the share that is done or, with `epoch_windows`, is multiplied by `epoch_decay` per epoch."""

    windows: int | None = None
    minutes: float | None = None
    batch: int = 64  # over all processes
    frame_step: int = 1  # video frames between a window's frames
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.05  # not for norms, biases and positions
    warm_up: float = 0.02  # share of the run
    final_rate: float = 0.01  # of the learning rate, where the cosine ends
    epoch_windows: int | None = None
    epoch_decay: float = 0.98
    clip: float | None = 1.0  # largest norm of the gradient
    average: float = 0.999  # decay per step of the running mean of the weights
    dense: float = 1.0  # weight of the per-frame loss
    velocity: float = 0.5  # weight of the loss on differences between frames
    seed: int = 0
    save_every_s: float = 120.0
    validate_every_s: float = 300.0

    def __post_init__(self) -> None:
        if (self.windows is None) == (self.minutes is None):
            raise InvalidInput("set either windows or minutes, the length of the run")
        if self.batch < 1 or self.frame_step < 1:
            raise InvalidInput("batch and frame_step must be 1 or more")

    @staticmethod
    def paper(epoch_windows: int, epochs: int = 130) -> "Recipe":
        """The published recipe; an epoch is one window per recorded frame."""
        return Recipe(
            windows=epochs * epoch_windows,
            batch=1024,
            learning_rate=2e-4,
            betas=(0.9, 0.999),
            weight_decay=0.1,
            warm_up=0.0,
            epoch_windows=epoch_windows,
            clip=None,
            average=0.0,
            dense=0.0,
            velocity=0.0,
        )


def rate_at(share: float, windows: int, recipe: Recipe) -> float:
    """Factor of the learning rate: linear warm-up, then half a cosine down to `final_rate`; or the
    paper's decay, once per epoch."""
    if recipe.epoch_windows is not None:
        return recipe.epoch_decay ** (windows // recipe.epoch_windows)
    if share < recipe.warm_up:
        return max(share / recipe.warm_up, 1e-3)
    done = (share - recipe.warm_up) / (1 - recipe.warm_up)
    return recipe.final_rate + (1 - recipe.final_rate) * (1 + math.cos(math.pi * done)) / 2


def pose_loss(readouts: Readouts, targets: Tensor, recipe: Recipe) -> Tensor:
    """MPJPE of the centre frame, plus that of every frame (the last quarter counts double, since
    live use reads it), plus that of the differences between frames; in metres."""
    frames = targets.shape[1]
    centre = (readouts.centre[:, 0] - targets[:, frames // 2]).norm(dim=-1).mean()
    error = readouts.dense - targets
    weights = torch.ones(frames, device=targets.device)
    weights[frames - max(1, frames // 4) :] = 2
    dense = (error.norm(dim=-1).mean(dim=(0, 2)) * weights).sum() / weights.sum()
    loss = centre + recipe.dense * dense
    if frames > 1:
        loss = loss + recipe.velocity * error.diff(dim=1).norm(dim=-1).mean()
    return loss


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for the optimiser: weight decay for matrices, none for norms, biases and
    positions."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        matrix = parameter.ndim >= 2 and "positions" not in name and "frame_mean" not in name
        (decayed if matrix else plain).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
