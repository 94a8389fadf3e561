"""The training loop: windows in, checkpoint out.

A checkpoint holds everything a run needs to resume: the network's shape and weights, their running
mean (which is exported), the optimiser, the random states and the time spent.
"""

import copy
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from model.errors import InvalidInput
from model.motion.metrics import mpjpe, n_mpjpe, p_mpjpe
from model.training.networks.baselines import kind_of
from model.training.networks.checkpoints import load_checkpoint, save_checkpoint
from model.training.networks.poseformer import PoseFormer
from model.training.recipe import Recipe, parameter_groups, pose_loss, rate_at
from model.training.recordings import Recordings
from model.training.simulation.windows import Batch, Simulation, batches


class Trainer:
    """The state of one run, its training step and its checkpoint.

    Every process draws the same batch and trains on its own rows, so the windows do not depend on
    the number of processes.
    """

    def __init__(self, network: PoseFormer, recipe: Recipe, fabric: Fabric):
        if recipe.batch % fabric.world_size:
            raise InvalidInput(
                f"batch must be a multiple of the number of processes: {recipe.batch} is not a "
                f"multiple of {fabric.world_size}"
            )
        self.recipe = recipe
        self.fabric = fabric
        self.device = fabric.device
        self.network = network.to(fabric.device).train()
        self.averaged = copy.deepcopy(self.network).requires_grad_(False).eval()
        groups = parameter_groups(self.network, recipe.weight_decay)
        optimiser = torch.optim.AdamW(groups, betas=recipe.betas, fused=True)
        self._module, self.optimiser = fabric.setup(self.network, optimiser)
        self.generator = torch.Generator(fabric.device).manual_seed(recipe.seed)
        torch.manual_seed(recipe.seed + fabric.global_rank)
        self.windows = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []

    @property
    def share(self) -> float:
        """The share of the run that is done, 0..1."""
        if self.recipe.windows is not None:
            return min(1.0, self.windows / self.recipe.windows)
        return min(1.0, self.seconds / 60 / (self.recipe.minutes or 1.0))

    @property
    def steps(self) -> int:
        return self.windows // self.recipe.batch

    def windows_of(self, recordings: Recordings, simulation: Simulation) -> Iterator[Batch]:
        """Endless random windows for this run, drawn on its device with its generator."""
        return batches(
            recordings.to(self.device),
            simulation,
            frames=self.network.shape.frames,
            frame_step=self.recipe.frame_step,
            batch=self.recipe.batch,
            generator=self.generator,
        )

    def step(self, batch: Batch) -> Tensor:
        """One step on a whole batch; returns the loss (m) of this process's rows."""
        recipe, rows = self.recipe, slice(self.fabric.global_rank, None, self.fabric.world_size)
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * rate_at(self.share, self.windows, recipe)
        loss = pose_loss(self._module(batch.inputs[rows]), batch.targets[rows], recipe)
        self.optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        if recipe.clip is not None:
            self.fabric.clip_gradients(self._module, self.optimiser, max_norm=recipe.clip)
        self.optimiser.step()
        self._average()
        self.windows += len(batch.inputs)
        return loss.detach()

    @torch.no_grad()
    def _average(self) -> None:
        """Update the running mean of the weights; early on over few steps, to drop the initial
        weights."""
        decay = min(self.recipe.average, (1 + self.steps) / (10 + self.steps))
        pairs = zip(self.averaged.parameters(), self.network.parameters(), strict=True)
        for average, current in pairs:
            average.lerp_(current, 1 - decay)

    def save(self, path: Path) -> None:
        """Write a checkpoint. Raises InvalidInput if that fails."""
        if not self.fabric.is_global_zero:
            return
        state = {
            "network_kind": kind_of(self.network),
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
        save_checkpoint(state, path)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint. Raises InvalidInput if its network differs from this one."""
        state = load_checkpoint(path)
        stored = (state.get("network_kind", "poseformer"), state["shape"])
        expected = (kind_of(self.network), asdict(self.network.shape))
        if stored != expected:
            raise InvalidInput(f"{path} is of another network: expected {expected}, got {stored}")
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.windows, self.seconds = state["windows"], state["seconds"]
        self.history = state["history"]
        if self.fabric.global_rank == 0:
            torch.set_rng_state(state["random"])
        else:
            torch.manual_seed(self.recipe.seed + self.fabric.global_rank + self.windows)


@dataclass(frozen=True)
class Validation:
    """Recordings of people who are not trained on, and how they are simulated."""

    recordings: Recordings
    simulation: Simulation = field(default_factory=Simulation)


def train(
    trainer: Trainer,
    source: Iterator[Batch],
    checkpoint: Path,
    validation: Validation | None = None,
) -> None:
    """Train on windows of `source` to the recipe's end, saving regularly; on SIGTERM or Ctrl-C save
    and return."""
    recipe = trainer.recipe
    saved = validated = trainer.seconds
    with _stop_requests() as stop_requested, _progress(trainer) as progress:
        clock = _Clock(trainer)
        while trainer.share < 1 and not clock.tick(stop_requested()):
            loss = trainer.step(next(source))
            progress(loss)
            if trainer.seconds - saved > recipe.save_every_s:
                trainer.save(checkpoint)
                saved = trainer.seconds
            if validation is not None and trainer.seconds - validated > recipe.validate_every_s:
                _report(trainer, validation)
                validated = trainer.seconds
    if validation is not None:
        _report(trainer, validation)
    trainer.save(checkpoint)


class _Clock:
    """Time spent and stop requests, as seen by the first process and shared with the others."""

    def __init__(self, trainer: Trainer):
        self._trainer = trainer
        self._started = time.monotonic() - trainer.seconds

    def tick(self, stop: bool) -> bool:
        """Update the time; returns whether to stop."""
        trainer = self._trainer
        now = (time.monotonic() - self._started, stop)
        if trainer.fabric.world_size > 1:
            now = trainer.fabric.broadcast(now)
        trainer.seconds, stop = now
        return stop


@contextmanager
def _progress(trainer: Trainer) -> Iterator[Callable[[Tensor], None]]:
    """A progress bar; every 20 steps it shows the loss and logs it to TensorBoard."""
    hidden = not trainer.fabric.is_global_zero
    with tqdm(total=100, unit="%", initial=100 * trainer.share, disable=hidden) as bar:

        def progress(loss: Tensor) -> None:
            bar.update(100 * trainer.share - bar.n)
            if trainer.steps % 20 == 0:
                millimetres = loss.item() * 1000
                bar.set_postfix_str(f"{trainer.windows} windows, loss {millimetres:.1f} mm")
                trainer.fabric.log("loss mm", millimetres, step=trainer.windows)

        bar.bar_format = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
        yield progress


def _report(trainer: Trainer, validation: Validation) -> None:
    if trainer.fabric.is_global_zero:
        row = _validate(trainer, validation)
        trainer.history.append(row)
        trainer.fabric.log_dict(row, step=trainer.windows)
        tqdm.write("  ".join(f"{name} {value:.1f}" for name, value in row.items()))
    trainer.fabric.barrier()


def _validate(trainer: Trainer, validation: Validation) -> dict[str, float]:
    """Errors of the averaged weights on 512 fixed windows."""
    network = trainer.averaged
    row: dict[str, float] = {"windows": trainer.windows, "seconds": trainer.seconds}
    kinds = {
        "true": validation.simulation.without_errors(),
        "noisy": validation.simulation.for_evaluation(),
    }
    for kind, settings in kinds.items():
        generator = torch.Generator(trainer.device).manual_seed(1)
        source = batches(
            validation.recordings.to(trainer.device),
            settings,
            frames=network.shape.frames,
            frame_step=trainer.recipe.frame_step,
            batch=128,
            generator=generator,
        )
        row |= _errors(network, source, kind)
    return row


@torch.no_grad()
def _errors(network: PoseFormer, source: Iterator[Batch], kind: str) -> dict[str, float]:
    results = [
        (network(batch.inputs), batch.targets) for batch, _ in zip(source, range(4), strict=False)
    ]
    centre = torch.cat([readouts.centre[:, 0] for readouts, _ in results]).cpu().numpy()
    last = torch.cat([readouts.dense[:, -1] for readouts, _ in results]).cpu().numpy()
    targets = torch.cat([target for _, target in results]).cpu().numpy()
    middle = targets[:, targets.shape[1] // 2]
    return {
        f"{kind} mpjpe": mpjpe(centre, middle),
        f"{kind} n_mpjpe": n_mpjpe(centre, middle),
        f"{kind} p_mpjpe": p_mpjpe(centre, middle),
        f"{kind} last": mpjpe(last, targets[:, -1]),
    }


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """SIGTERM and Ctrl-C set a flag, so that no step is interrupted."""
    requests: list[int] = []
    previous = {
        number: signal.signal(number, lambda *_: requests.append(1))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield lambda: bool(requests)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
