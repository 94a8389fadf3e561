"""The training commands of `poselift`: arguments in, exit code out."""

import argparse
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from model.lifter import READOUTS, Lifter, LiftOptions
from model.model_files import ModelInfo, enter_in_manifest
from model.training import official
from model.training.ablation import ablate_arguments, ablate_command
from model.training.baselines import NETWORKS, network_named
from model.training.checkpoints import averaged_network, grow
from model.training.datasets.originals import import_arguments, import_command
from model.training.evaluate import (
    Report,
    clips,
    evaluate,
    look_ahead_errors,
    mean_pose_errors,
)
from model.training.export import export
from model.training.network import NetworkShape, PoseFormer
from model.training.noise.command import fit_noise_arguments, fit_noise_command
from model.training.quantise import int8_path, quantise
from model.training.recipe import Recipe
from model.training.recordings import CANONICAL_HEIGHT_M, Recordings, load_recordings
from model.training.simulate import Simulation
from model.training.tables import errors_table, look_ahead_table
from model.training.train import Trainer, Validation, train

ORIGIN = "trained by poselift on the CMU Graphics Lab Motion Capture Database (mocap.cs.cmu.edu)"
LICENCE = "Apache-2.0"


def run(command: str, arguments: list[str]) -> int:
    """Do one training command; raises PoseError for what the user can mend."""
    commands: dict[str, tuple[Callable[..., None], Callable[..., None]]] = {
        "ablate": (ablate_arguments, ablate_command),
        "train": (_train_arguments, _train),
        "export": (_export_arguments, _export),
        "evaluate": (_evaluate_arguments, _evaluate),
        "fit-noise": (fit_noise_arguments, fit_noise_command),
        "import-motion": (import_arguments, import_command),
        "import-official": (official.import_arguments, official.import_command),
    }
    declare, act = commands[command]
    parser = argparse.ArgumentParser(prog=f"poselift {command}")
    declare(parser)
    options = parser.parse_args(arguments)
    if "threads" in options:
        torch.set_num_threads(options.threads)
    act(options)
    return 0


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Train PoseFormer on motion capture filmed by simulated cameras."
    recipe, shape = Recipe(windows=1), NetworkShape()
    parser.add_argument("recordings", nargs="+", type=Path, help="npz files of motion capture")
    parser.add_argument("-o", "--output", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--validation", type=Path, help="npz whose own skeletons are watched")
    parser.add_argument("--start-from", type=Path, help="checkpoint whose weights to begin with")
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
    parser.add_argument("--dense", type=float, default=recipe.dense, help="weight of that loss")
    parser.add_argument("--average", type=float, default=recipe.average)
    parser.add_argument("--seed", type=int, default=recipe.seed)
    parser.add_argument(
        "--preset", choices=("ours", "paper"), default="ours", help="paper: the published recipe"
    )
    parser.add_argument("--accelerator", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--devices", type=int, default=1, help="processes, one a device")
    parser.add_argument("--precision", default="32-true", help="or bf16-mixed")
    parser.add_argument("--log-dir", type=Path, help="write TensorBoard's files there")
    _add_threads(parser)


def _train(options: argparse.Namespace) -> None:
    recordings = load_recordings(options.recordings)
    recipe = _recipe(options, recordings)
    torch.manual_seed(recipe.seed)
    network = _first_network(options)
    validation = None
    if options.validation:
        validation = Validation(load_recordings([options.validation]).kind(own=True))
    trainer = Trainer(network, recipe, _fabric(options))
    if options.output.exists():
        trainer.resume(options.output)
        print(f"going on from {options.output} at {trainer.windows} windows")
    source = trainer.windows_of(recordings, Simulation())
    train(trainer, source, options.output, validation)


def _recipe(options: argparse.Namespace, recordings: Recordings) -> Recipe:
    if options.preset == "paper":
        return Recipe.paper(epoch_windows=int(recordings.length.sum()))
    return Recipe(
        windows=options.windows,
        minutes=options.minutes,
        batch=options.batch,
        frame_step=options.frame_step,
        learning_rate=options.learning_rate,
        dense=options.dense,
        average=options.average,
        seed=options.seed,
    )


def _fabric(options: argparse.Namespace) -> Fabric:
    """Lightning Fabric: devices, processes and precision; also under torchrun."""
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


def _first_network(options: argparse.Namespace) -> PoseFormer:
    if options.start_from:
        return grow(averaged_network(options.start_from), options.frames)
    shape = NetworkShape(
        frames=options.frames,
        channels=6,
        joint_width=options.joint_width,
        spatial_depth=options.spatial_depth,
        temporal_depth=options.temporal_depth,
        heads=options.heads,
        drop_path=options.drop_path,
    )
    network = network_named(options.network, shape)
    if options.dense > 0:
        network.start_at_centre()
    return network


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Write a checkpoint as an ONNX file, checked against torch."
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="weights/NAME.onnx")
    parser.add_argument("--version", required=True, help="as in 1.0.0")
    parser.add_argument("--validation", type=Path, help="npz to measure the file on")
    parser.add_argument("--float32", action="store_true", help="store weights in full")
    parser.add_argument("--int8", action="store_true", help="also write NAME-int8.onnx, faster")
    _add_threads(parser)


def _export(options: argparse.Namespace) -> None:
    network = averaged_network(options.checkpoint)
    info = ModelInfo(
        name=options.output.stem,
        version=options.version,
        frames=network.shape.frames,
        channels=network.shape.channels,
        normalisation="person",
        readouts=READOUTS,
        height_m=CANONICAL_HEIGHT_M,
        fps=Simulation().fps,
        licence=LICENCE,
        training_commit=_commit(),
        metrics={},
        shape=asdict(network.shape),
    )
    half = not options.float32
    options.output.parent.mkdir(parents=True, exist_ok=True)
    candidate = options.output.with_name(f".{options.output.name}")
    try:
        export(network, info, candidate, half_storage=half)
        if options.validation:
            metrics = _headline(candidate, load_recordings([options.validation]).kind(own=True))
            info = replace(info, metrics=metrics)
            export(network, info, candidate, half_storage=half)
        os.replace(candidate, options.output)
    finally:
        candidate.unlink(missing_ok=True)
    enter_in_manifest(options.output, info, ORIGIN)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB, equal to torch")
    if options.int8:
        _export_int8(options, info)


def _export_int8(options: argparse.Namespace, float32: ModelInfo) -> None:
    target, measure = int8_path(options.output), None
    if options.validation:
        recordings = load_recordings([options.validation]).kind(own=True)
        measure = partial(_headline, recordings=recordings)
    found = quantise(options.output, target, measure)
    enter_in_manifest(target, found.info, f"{options.output.name} in int8; {ORIGIN}")
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, {found.told(float32.metrics)}")
    if measure is None:
        print("its change of error is not known: name recordings with --validation")


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Measure a model file on recordings, through the service's own path."
    parser.add_argument("model", type=Path)
    parser.add_argument("recordings", nargs="+", type=Path)
    parser.add_argument("--readout", choices=READOUTS, default="centre")
    parser.add_argument("--flip", action="store_true", help="also lift the mirrored picture")
    parser.add_argument("--fps", type=float, default=50.0)
    parser.add_argument("--rebuilt", action="store_true", help="rebuilt skeletons, not own ones")
    parser.add_argument("--actions", action="store_true", help="a row for each action too")
    parser.add_argument(
        "--look-ahead", action="store_true", help="the dense readout's error against its latency"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to a file")
    _add_threads(parser)


def _evaluate(options: argparse.Namespace) -> None:
    lifter = Lifter.load(options.model, threads=options.threads)
    recordings = load_recordings(options.recordings).kind(own=not options.rebuilt)
    asked = LiftOptions(readout=options.readout, flip=options.flip)
    rows: dict[str, Report] = {}
    ahead: dict[str, dict[int, float]] = {}
    for kind, simulation in _conditions().items():
        filmed = list(clips(recordings, simulation, fps=options.fps))
        rows[kind] = evaluate(lifter, filmed, asked)
        rows[f"{kind}, mean pose"] = mean_pose_errors(lifter, filmed)
        if options.look_ahead:
            ahead[kind] = look_ahead_errors(lifter, filmed)
    print(errors_table(rows, actions=options.actions))
    if ahead:
        print("\n" + look_ahead_table(ahead))
    if options.json:
        figures = {"errors": {k: asdict(v) for k, v in rows.items()}, "look_ahead": ahead}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


def _conditions() -> dict[str, Simulation]:
    simulation = Simulation()
    return {
        "true 2D": simulation.without_errors(),
        "simulated detections": simulation.for_evaluation(),
    }


def _headline(path: Path, recordings: Recordings) -> dict[str, float]:
    """The few figures that a file carries about itself."""
    lifter = Lifter.load(path)
    metrics = {}
    for kind, simulation in _conditions().items():
        mean = evaluate(lifter, clips(recordings, simulation)).mean
        for name in ("mpjpe", "p_mpjpe", "n_mpjpe"):
            metrics[f"{kind} {name} mm"] = round(mean[name], 1)
    return metrics


def _commit() -> str:
    """The commit this code stands at, for the file's metadata."""
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
