"""`poselift train`: recordings or published data sets -> a checkpoint."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from model.errors import InvalidInput
from model.lifting.camera import IMAGE_CHANNELS, PERSON_CHANNELS
from model.training.datasets.options import dataset_arguments, training_videos
from model.training.datasets.videos import DatasetVideo, video_batches
from model.training.networks.baselines import NETWORKS, network_named
from model.training.networks.checkpoints import grow
from model.training.networks.poseformer import NetworkShape, PoseFormer
from model.training.networks.stored import stored_network
from model.training.recipe import Recipe
from model.training.recordings import Recordings, load_recordings
from model.training.simulation.windows import Batch, Simulation
from model.training.train import Trainer, Validation, train

CHANNELS = {"person": PERSON_CHANNELS, "image": IMAGE_CHANNELS}


def train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Train PoseFormer on motion capture seen by simulated cameras, or on the videos of a "
        "published data set."
    )
    recipe, shape = Recipe(windows=1), NetworkShape()
    parser.add_argument("recordings", nargs="*", type=Path, help="npz files of motion capture")
    dataset_arguments(parser)
    parser.add_argument(
        "--normalisation",
        choices=("person", "image"),
        default="person",
        help="image: as for the published checkpoints, videos only, without the dense loss",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--validation", type=Path, help="npz to validate on (own skeletons)")
    parser.add_argument(
        "--start-from", type=Path, help="checkpoint or model file with the initial weights"
    )
    parser.add_argument("--windows", type=int, help="length of the run in windows")
    parser.add_argument("--minutes", type=float, help="or in minutes")
    parser.add_argument("--network", choices=NETWORKS, default="poseformer")
    parser.add_argument("--frames", type=int, default=shape.frames)
    parser.add_argument("--joint-width", type=int, default=shape.joint_width)
    parser.add_argument("--spatial-depth", type=int, default=shape.spatial_depth)
    parser.add_argument("--temporal-depth", type=int, default=shape.temporal_depth)
    parser.add_argument("--heads", type=int, default=shape.heads)
    parser.add_argument("--drop-path", type=float, default=shape.drop_path)
    parser.add_argument("--frame-step", type=int, default=recipe.frame_step)
    parser.add_argument("--batch", type=int, default=recipe.batch)
    parser.add_argument("--learning-rate", type=float, default=recipe.learning_rate)
    parser.add_argument("--dense", type=float, default=recipe.dense, help="weight of dense loss")
    parser.add_argument("--average", type=float, default=recipe.average)
    parser.add_argument("--save-every-s", type=float, default=recipe.save_every_s)
    parser.add_argument("--seed", type=int, default=recipe.seed)
    parser.add_argument(
        "--preset", choices=("ours", "paper"), default="ours", help="paper: the published recipe"
    )
    parser.add_argument("--accelerator", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--devices", type=int, default=1, help="number of devices (processes)")
    parser.add_argument("--precision", default="32-true", help="or bf16-mixed")
    parser.add_argument("--log-dir", type=Path, help="folder for TensorBoard logs")


def train_command(options: argparse.Namespace) -> None:
    videos = training_videos(options)
    _check(options, videos)
    recordings = load_recordings(options.recordings) if options.recordings else None
    recipe = _recipe(options, _frames(recordings, videos))
    torch.manual_seed(recipe.seed)
    network = _initial_network(options)
    validation = None
    if options.validation:
        validation = Validation(load_recordings([options.validation]).kind(own=True))
    trainer = Trainer(network, recipe, _fabric(options))
    if options.output.exists():
        trainer.resume(options.output)
        print(f"resuming {options.output} at {trainer.windows} windows")
    if recordings is None:
        source = _dataset_windows(videos, options, trainer)
    else:
        source = trainer.windows_of(recordings, Simulation())
    train(trainer, source, options.output, validation)


def _check(options: argparse.Namespace, videos: list[DatasetVideo]) -> None:
    if bool(videos) == bool(options.recordings):
        raise InvalidInput(
            "name either recordings (npz files) or one published data set "
            "(--human36m, --mpi-inf-3dhp) to train on"
        )
    if options.normalisation == "image" and (not videos or options.validation):
        raise InvalidInput(
            "--normalisation image needs a published data set and cannot be used with --validation"
        )


def _frames(recordings: Recordings | None, videos: list[DatasetVideo]) -> int:
    """Windows per epoch: one for each frame."""
    if recordings is not None:
        return int(recordings.length.sum())
    return int(sum(video.valid.sum() for video in videos))


def _dataset_windows(
    videos: list[DatasetVideo], options: argparse.Namespace, trainer: Trainer
) -> Iterator[Batch]:
    return video_batches(
        videos,
        options.normalisation,
        frames=trainer.network.shape.frames,
        frame_step=trainer.recipe.frame_step,
        batch=trainer.recipe.batch,
        generator=trainer.generator,
        device=trainer.device,
    )


def _recipe(options: argparse.Namespace, epoch_windows: int) -> Recipe:
    if options.preset == "paper":
        return Recipe.paper(epoch_windows)
    return Recipe(
        windows=options.windows,
        minutes=options.minutes,
        batch=options.batch,
        frame_step=options.frame_step,
        learning_rate=options.learning_rate,
        dense=options.dense if options.normalisation == "person" else 0.0,
        average=options.average,
        seed=options.seed,
        save_every_s=options.save_every_s,
    )


def _fabric(options: argparse.Namespace) -> Fabric:
    """Lightning Fabric for devices, processes and precision; also works under torchrun."""
    loggers: list[Logger] = []
    if options.log_dir:
        loggers.append(TensorBoardLogger(options.log_dir))
    fabric = Fabric(
        accelerator=options.accelerator,
        devices=options.devices,
        precision=options.precision,
        loggers=loggers,
    )
    fabric.launch()
    return fabric


def _initial_network(options: argparse.Namespace) -> PoseFormer:
    if options.start_from:
        return grow(stored_network(options.start_from), options.frames)
    shape = NetworkShape(
        frames=options.frames,
        channels=CHANNELS[options.normalisation],
        joint_width=options.joint_width,
        spatial_depth=options.spatial_depth,
        temporal_depth=options.temporal_depth,
        heads=options.heads,
        drop_path=options.drop_path,
    )
    network = network_named(options.network, shape)
    if options.dense > 0 and options.normalisation == "person":
        network.start_at_centre()
    return network
