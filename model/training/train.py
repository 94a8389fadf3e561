"""The training loop: windows in, checkpoint out.

A checkpoint holds all that is needed to go on: the network's shape and weights, their running
average (which is what gets exported), the optimiser, the random states and the time spent.
"""

import copy
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from model.errors import InvalidInput
from model.metrics import mpjpe, n_mpjpe, p_mpjpe
from model.training.network import NetworkShape, PoseFormer, Readouts
from model.training.recordings import Recordings
from model.training.simulate import Batch, Simulation, batches


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Exactly one of `windows` and `minutes` bounds the run; the
    learning rate follows the share of it that is done."""

    windows: int | None = None
    minutes: float | None = None
    batch: int = 64
    frame_step: int = 1  # picture frames between a window's frames
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.05  # not on norms, biases and positions
    warm_up: float = 0.02  # share of the run
    final_rate: float = 0.01  # of the learning rate, where the cosine ends
    clip: float = 1.0  # norm of the gradient
    average: float = 0.999  # per step, of the weights
    dense: float = 1.0  # weight of the loss of every frame
    velocity: float = 0.5  # weight of the loss of the differences between frames
    seed: int = 0
    save_every_s: float = 120.0
    validate_every_s: float = 300.0

    def __post_init__(self) -> None:
        if (self.windows is None) == (self.minutes is None):
            raise InvalidInput("a run is bounded by windows or by minutes, and by one of them")


class Trainer:
    """One run: what changes from step to step, and how it is stored."""

    def __init__(self, network: PoseFormer, recipe: Recipe, device: torch.device):
        self.recipe = recipe
        self.device = device
        self.network = network.to(device).train()
        self.averaged = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimiser = torch.optim.AdamW(
            _parameter_groups(self.network, recipe.weight_decay), betas=recipe.betas, fused=True
        )
        self.generator = torch.Generator(device).manual_seed(recipe.seed)
        torch.manual_seed(recipe.seed)
        self.windows = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []

    @property
    def share(self) -> float:
        """How much of the run is done, 0..1."""
        if self.recipe.windows is not None:
            return min(1.0, self.windows / self.recipe.windows)
        return min(1.0, self.seconds / 60 / (self.recipe.minutes or 1.0))

    def step(self, batch: Batch) -> Tensor:
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * rate_at(self.share, self.recipe)
        loss = pose_loss(self.network(batch.inputs), batch.targets, self.recipe)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimiser.step()
        self._average()
        self.windows += len(batch.inputs)
        return loss.detach()

    @torch.no_grad()
    def _average(self) -> None:
        """Running mean of the weights; at first over few steps, to forget where they began."""
        kept = min(self.recipe.average, (1 + self.steps) / (10 + self.steps))
        pairs = zip(self.averaged.parameters(), self.network.parameters(), strict=True)
        for average, current in pairs:
            average.lerp_(current, 1 - kept)

    @property
    def steps(self) -> int:
        return self.windows // self.recipe.batch

    def save(self, path: Path) -> None:
        """Write, then rename: a checkpoint is whole or absent."""
        state = {
            "shape": asdict(self.network.shape),
            "recipe": asdict(self.recipe),
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "random": torch.get_rng_state(),
            "windows": self.windows,
            "seconds": self.seconds,
            "history": self.history,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".part")
        torch.save(state, partial)
        os.replace(partial, path)

    def resume(self, path: Path) -> None:
        state = load_checkpoint(path)
        if state["shape"] != asdict(self.network.shape):
            raise InvalidInput(
                f"{path} is of another network: {state['shape']}, asked for "
                f"{asdict(self.network.shape)}"
            )
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["random"])
        self.windows, self.seconds = state["windows"], state["seconds"]
        self.history = state["history"]


def train(
    trainer: Trainer,
    recordings: Recordings,
    simulation: Simulation,
    checkpoint: Path,
    validation: Recordings | None = None,
) -> None:
    """Run to the recipe's end, saving as it goes; on SIGTERM or Ctrl-C save and return."""
    recipe, started = trainer.recipe, time.monotonic() - trainer.seconds
    source = batches(
        recordings.to(trainer.device),
        simulation,
        frames=trainer.network.shape.frames,
        frame_step=recipe.frame_step,
        batch=recipe.batch,
        generator=trainer.generator,
    )
    saved = validated = trainer.seconds
    with (
        _stop_requests() as stop_asked,
        tqdm(total=100, unit="%", initial=100 * trainer.share) as bar,
    ):
        while trainer.share < 1 and not stop_asked():
            loss = trainer.step(next(source))
            trainer.seconds = time.monotonic() - started
            bar.update(100 * trainer.share - bar.n)
            if trainer.steps % 20 == 0:
                bar.set_postfix_str(f"{trainer.windows} windows, loss {loss.item() * 1000:.1f} mm")
            if trainer.seconds - saved > recipe.save_every_s:
                trainer.save(checkpoint)
                saved = trainer.seconds
            if validation is not None and trainer.seconds - validated > recipe.validate_every_s:
                bar.write(_validate(trainer, validation, simulation))
                validated = trainer.seconds
    if validation is not None:
        print(_validate(trainer, validation, simulation))
    trainer.save(checkpoint)


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


def rate_at(share: float, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine down to `final_rate`."""
    if share < recipe.warm_up:
        return max(share / recipe.warm_up, 1e-3)
    done = (share - recipe.warm_up) / (1 - recipe.warm_up)
    return recipe.final_rate + (1 - recipe.final_rate) * (1 + math.cos(math.pi * done)) / 2


def grow(network: PoseFormer, frames: int) -> PoseFormer:
    """The same network over more frames in the same time: what it learnt on every n-th frame is
    where a longer one begins. Positions are interpolated; new frames start without weight in the
    mean."""
    old = network.shape.frames
    if frames % 2 == 0 or frames % old:
        raise InvalidInput(f"frames grow by an odd factor, got {old} -> {frames}")
    factor = frames // old
    grown = PoseFormer(replace(network.shape, frames=frames))
    state = dict(network.state_dict())
    positions = nn.functional.interpolate(
        state["frame_positions"].mT, size=frames, mode="linear", align_corners=False
    )
    state["frame_positions"] = positions.mT
    weight = torch.zeros_like(grown.frame_mean.weight)
    weight[:, factor // 2 :: factor] = state["frame_mean.weight"]
    state["frame_mean.weight"] = weight
    grown.load_state_dict(state)
    return grown


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ours; raises InvalidInput."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InvalidInput(f"{path}: not a readable checkpoint ({error})") from error
    if not isinstance(state, dict) or not {"shape", "averaged"} <= set(state):
        raise InvalidInput(f"{path}: not a poselift training checkpoint")
    return state


def averaged_network(path: Path) -> PoseFormer:
    """The network that a checkpoint's averaged weights make, ready for use."""
    state = load_checkpoint(path)
    network = PoseFormer(NetworkShape(**state["shape"]))
    network.load_state_dict(state["averaged"])
    return network.eval()


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        matrix = parameter.ndim >= 2 and "positions" not in name and "frame_mean" not in name
        (decayed if matrix else plain).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]


def _validate(trainer: Trainer, validation: Recordings, simulation: Simulation) -> str:
    """Errors of the averaged weights on the same 512 windows each time; kept in the history."""
    network = trainer.averaged
    row: dict[str, float] = {"windows": trainer.windows, "seconds": trainer.seconds}
    kinds = {"true": simulation.without_errors(), "noisy": simulation.for_evaluation()}
    for kind, settings in kinds.items():
        generator = torch.Generator(trainer.device).manual_seed(1)
        source = batches(
            validation.to(trainer.device),
            settings,
            frames=network.shape.frames,
            frame_step=trainer.recipe.frame_step,
            batch=128,
            generator=generator,
        )
        row |= _errors(network, source, kind)
    trainer.history.append(row)
    return "  ".join(f"{name} {value:.1f}" for name, value in row.items())


@torch.no_grad()
def _errors(network: PoseFormer, source: Iterator[Batch], kind: str) -> dict[str, float]:
    found = [
        (network(batch.inputs), batch.targets) for batch, _ in zip(source, range(4), strict=False)
    ]
    centre = torch.cat([answer.centre[:, 0] for answer, _ in found]).cpu().numpy()
    last = torch.cat([answer.dense[:, -1] for answer, _ in found]).cpu().numpy()
    targets = torch.cat([target for _, target in found]).cpu().numpy()
    middle = targets[:, targets.shape[1] // 2]
    return {
        f"{kind} mpjpe": mpjpe(centre, middle),
        f"{kind} n_mpjpe": n_mpjpe(centre, middle),
        f"{kind} p_mpjpe": p_mpjpe(centre, middle),
        f"{kind} last": mpjpe(last, targets[:, -1]),
    }


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """SIGTERM and Ctrl-C become a flag, so that a step is never cut in two."""
    asked: list[int] = []
    before = {
        number: signal.signal(number, lambda *_: asked.append(1))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
