"""How a network is trained: one dataclass with every setting, its default and its reason."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model.errors import InvalidInput
from model.training.networks.poseformer import Readouts


@dataclass(frozen=True)
class Recipe:
    """Exactly one of `windows` and `minutes` bounds the run; the learning rate follows the share of
    it that is done, or, with `epoch_windows`, falls by `epoch_decay` an epoch."""

    windows: int | None = None
    minutes: float | None = None
    batch: int = 64  # over all processes
    frame_step: int = 1  # picture frames between a window's frames
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.05  # not on norms, biases and positions
    warm_up: float = 0.02  # share of the run
    final_rate: float = 0.01  # of the learning rate, where the cosine ends
    epoch_windows: int | None = None
    epoch_decay: float = 0.98
    clip: float | None = 1.0  # norm of the gradient
    average: float = 0.999  # per step, of the weights
    dense: float = 1.0  # weight of the loss of every frame
    velocity: float = 0.5  # weight of the loss of the differences between frames
    seed: int = 0
    save_every_s: float = 120.0
    validate_every_s: float = 300.0

    def __post_init__(self) -> None:
        if (self.windows is None) == (self.minutes is None):
            raise InvalidInput("a run is bounded by windows or by minutes, and by one of them")
        if self.batch < 1 or self.frame_step < 1:
            raise InvalidInput("batch and frame_step are 1 or more")

    @staticmethod
    def paper(epoch_windows: int, epochs: int = 130) -> "Recipe":
        """The published recipe; an epoch is one window for each recorded frame."""
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
    """The learning rate's factor: linear warm-up, then half a cosine down to `final_rate`; or the
    paper's steps, one an epoch."""
    if recipe.epoch_windows is not None:
        return recipe.epoch_decay ** (windows // recipe.epoch_windows)
    if share < recipe.warm_up:
        return max(share / recipe.warm_up, 1e-3)
    done = (share - recipe.warm_up) / (1 - recipe.warm_up)
    return recipe.final_rate + (1 - recipe.final_rate) * (1 + math.cos(math.pi * done)) / 2


def pose_loss(answer: Readouts, targets: Tensor, recipe: Recipe) -> Tensor:
    """MPJPE of the centre frame, plus every frame's (the last quarter counts double, for live
    use has nothing after it), plus that of the differences between frames; in metres."""
    frames = targets.shape[1]
    centre = (answer.centre[:, 0] - targets[:, frames // 2]).norm(dim=-1).mean()
    error = answer.dense - targets
    weights = torch.ones(frames, device=targets.device)
    weights[frames - max(1, frames // 4) :] = 2
    dense = (error.norm(dim=-1).mean(dim=(0, 2)) * weights).sum() / weights.sum()
    loss = centre + recipe.dense * dense
    if frames > 1:
        loss = loss + recipe.velocity * error.diff(dim=1).norm(dim=-1).mean()
    return loss


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The optimiser's groups: matrices decay; norms, biases and positions do not."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        matrix = parameter.ndim >= 2 and "positions" not in name and "frame_mean" not in name
        (decayed if matrix else plain).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
