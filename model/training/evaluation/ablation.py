"""What each part is worth: the same small network, trained as long, without one part at a time.

Every variant is judged on the same simulated detections of the same validation windows (and on true
2D), whatever it was trained on; one that lacks a part of the input lacks it there too.
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
from model.training.simulation.simulate import Batch, Sight, Simulation, prepare
from model.training.train import Trainer, Validation, train

SHAPE = NetworkShape(frames=9, channels=PERSON_CHANNELS, joint_width=16, spatial_depth=2, heads=4)
FRAME_STEP = 3


def without_score(sight: Sight) -> Batch:
    """A joint is seen or not; how surely is not told."""
    batch = prepare(sight)
    inputs = batch.inputs.clone()
    inputs[..., 2] = (inputs[..., 2] > 0).float()
    return Batch(inputs, batch.targets)


def without_box(sight: Sight) -> Batch:
    """Neither where the person is nor how large."""
    batch = prepare(sight)
    inputs = batch.inputs.clone()
    inputs[..., 3:] = 0
    return Batch(inputs, batch.targets)


def without_turning(sight: Sight) -> Batch:
    """The box is moved to the middle and scaled, but not seen by a camera turned to it; the answer
    is in camera axes."""
    batch = prepare(sight)
    cameras = sight.cameras
    focal = cameras.assumed_focal[:, None, None, None]
    rays = pixels_to_rays(sight.points, cameras.image_size[:, None, None], focal)
    direction = batch.inputs[..., 3:5]
    middle = direction / (1 - direction.square().sum(-1, keepdim=True)).sqrt()
    inputs = batch.inputs.clone()
    seen = inputs[..., 2:3] > 0
    inputs[..., :2] = torch.where(seen, (rays - middle) / inputs[..., 5:].exp(), 0.0)
    return Batch(inputs, sight.joints - sight.joints[:, :, :1])


@dataclass(frozen=True)
class Variant:
    """One row of the table: what is trained, and how its input is prepared."""

    name: str
    network: str = "poseformer"
    prepare: Callable[[Sight], Batch] = prepare
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
    # at twice the width its cost a window comes nearest to the others'
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
    """Train each variant for as many windows, and give each one's validation errors (mm).

    Checkpoints stay in `folder`: a run that was stopped goes on where it was.
    """
    table = {}
    for variant in variants:
        path = folder / f"{variant.name.replace(' ', '-')}.pt"
        table[variant.name] = _trained(variant, recordings, validation, path, windows, seed)
    return table


def ablate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Say what each part of the input, and each network, is worth."
    parser.add_argument("recordings", nargs="+", type=Path, help="npz files to train on")
    parser.add_argument("--validation", type=Path, required=True, help="npz to judge on")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of checkpoints")
    parser.add_argument("--windows", type=int, default=100_000, help="length of each run")
    parser.add_argument("--what", choices=("parts", "networks"), default="parts")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")


def ablate_command(options: argparse.Namespace) -> None:
    """Train every variant and print the table."""
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
    judged = replace(Simulation(), prepare=variant.prepare)
    # the network begins at the same place in every variant
    torch.manual_seed(seed)
    network = network_named(variant.network, replace(SHAPE, joint_width=variant.joint_width))
    if variant.dense > 0:
        network.start_at_centre()
    recipe = Recipe(
        windows=windows, frame_step=FRAME_STEP, dense=variant.dense, seed=seed, velocity=0.0
    )
    trainer = Trainer(network, recipe, Fabric(accelerator="cpu", devices=1))
    if path.exists():
        trainer.resume(path)
    source = trainer.windows_of(recordings, variant.change(judged))
    train(trainer, source, path, Validation(validation, judged))
    found: dict[str, float] = load_checkpoint(path)["history"][-1]
    return found
