"""Ablation: train the same small network for the same time, leaving out one part at a time.

    .venv/bin/python benchmarks/ablation.py RECORDINGS.npz... --validation FILE -o FOLDER

All variants are measured on the same validation windows, with true 2D and with simulated
detections. A variant that lacks a part of the input lacks it there too.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from model.lifting.camera import PERSON_CHANNELS, pixels_to_rays
from model.training.evaluation.tables import figures_table
from model.training.networks.baselines import network_named
from model.training.networks.checkpoints import load_checkpoint
from model.training.networks.poseformer import NetworkShape
from model.training.recipe import Recipe
from model.training.recordings import Recordings, load_recordings
from model.training.simulation.detections import Noise
from model.training.simulation.windows import Batch, Observation, Simulation, prepare
from model.training.train import Trainer, Validation, train

SHAPE = NetworkShape(frames=9, channels=PERSON_CHANNELS, joint_width=16, spatial_depth=2, heads=4)
FRAME_STEP = 3


def without_score(observation: Observation) -> Batch:
    """Scores become 0 or 1: seen or not."""
    batch = prepare(observation)
    inputs = batch.inputs.clone()
    inputs[..., 2] = (inputs[..., 2] > 0).float()
    return Batch(inputs, batch.targets)


def without_box(observation: Observation) -> Batch:
    """The box's direction and size are 0."""
    batch = prepare(observation)
    inputs = batch.inputs.clone()
    inputs[..., 3:] = 0
    return Batch(inputs, batch.targets)


def without_turning(observation: Observation) -> Batch:
    """Rays are shifted and scaled by the box but not rotated; targets stay in camera axes."""
    batch = prepare(observation)
    cameras = observation.cameras
    focal = cameras.assumed_focal[:, None, None, None]
    rays = pixels_to_rays(observation.points, cameras.image_size[:, None, None], focal)
    direction = batch.inputs[..., 3:5]
    middle = direction / (1 - direction.square().sum(-1, keepdim=True)).sqrt()
    inputs = batch.inputs.clone()
    seen = inputs[..., 2:3] > 0
    inputs[..., :2] = torch.where(seen, (rays - middle) / inputs[..., 5:].exp(), 0.0)
    return Batch(inputs, observation.joints - observation.joints[:, :, :1])


@dataclass(frozen=True)
class Variant:
    """One row of the table: the network, its input and how its windows are simulated."""

    name: str
    network: str = "poseformer"
    prepare: Callable[[Observation], Batch] = prepare
    change: Callable[[Simulation], Simulation] = field(default=lambda simulation: simulation)
    dense: float = Recipe(windows=1).dense
    joint_width: int = SHAPE.joint_width


PARTS = (
    Variant("everything"),
    Variant("without the score channel", prepare=without_score),
    Variant("without the box channels", prepare=without_box),
    Variant("without turning", prepare=without_turning),
    Variant("without virtual detector points", change=lambda s: replace(s, detector=0.0)),
    Variant("without noise", change=lambda s: replace(s, noise=Noise.none())),
)
NETWORKS = (
    Variant("(a) temporal transformer alone", network="temporal", dense=0.0),
    # twice the width, for the cost per window nearest to the others'
    Variant(
        "(b) one token per joint of every frame",
        network="joint-tokens",
        dense=0.0,
        joint_width=2 * SHAPE.joint_width,
    ),
    Variant("PoseFormer", dense=0.0),
    Variant("PoseFormer with the dense loss"),
)


def compare(
    variants: tuple[Variant, ...],
    recordings: Recordings,
    validation: Recordings,
    folder: Path,
    *,
    windows: int,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Train each variant on `windows` windows; returns its validation errors (mm).

    Checkpoints are saved in `folder`; an interrupted run resumes from them.
    """
    table = {}
    for variant in variants:
        path = folder / f"{variant.name.replace(' ', '-')}.pt"
        table[variant.name] = _trained(variant, recordings, validation, path, windows, seed)
    return table


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recordings", nargs="+", type=Path, help="npz files to train on")
    parser.add_argument("--validation", type=Path, required=True, help="npz to measure on")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of checkpoints")
    parser.add_argument("--windows", type=int, default=100_000, help="length of each run")
    parser.add_argument("--what", choices=("parts", "networks"), default="parts")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    recordings = load_recordings(options.recordings)
    validation = load_recordings([options.validation]).kind(own=True)
    variants = PARTS if options.what == "parts" else NETWORKS
    windows = options.windows
    table = compare(variants, recordings, validation, options.output, windows=windows)
    print(figures_table(table))


def _trained(
    variant: Variant,
    recordings: Recordings,
    validation: Recordings,
    path: Path,
    windows: int,
    seed: int,
) -> dict[str, float]:
    simulation = replace(Simulation(), prepare=variant.prepare)
    torch.manual_seed(seed)  # same initial weights for all variants
    network = network_named(variant.network, replace(SHAPE, joint_width=variant.joint_width))
    if variant.dense > 0:
        network.start_at_centre()
    recipe = Recipe(
        windows=windows, frame_step=FRAME_STEP, dense=variant.dense, seed=seed, velocity=0.0
    )
    trainer = Trainer(network, recipe, Fabric(accelerator="cpu", devices=1))
    if path.exists():
        trainer.resume(path)
    source = trainer.windows_of(recordings, variant.change(simulation))
    train(trainer, source, path, Validation(validation, simulation))
    errors: dict[str, float] = load_checkpoint(path)["history"][-1]
    return errors


if __name__ == "__main__":
    main()
