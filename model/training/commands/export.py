"""`poselift export`: a checkpoint -> a model file, and optionally its int8 version."""

import argparse
import subprocess
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from model.errors import InvalidInput
from model.files import written_whole
from model.lifting.camera import PERSON_CHANNELS
from model.lifting.lifter import Lifter
from model.lifting.model_files import ModelInfo, enter_in_manifest, read_manifest, read_model
from model.lifting.options import READOUTS
from model.training.evaluation.errors import evaluate, simulated_clips
from model.training.export.int8 import int8_path, quantise
from model.training.export.onnx_file import export
from model.training.networks.poseformer import NetworkShape
from model.training.networks.stored import is_model_file, stored_network
from model.training.recordings import CANONICAL_HEIGHT_M, Recordings, load_recordings
from model.training.simulation.windows import Simulation, evaluation_conditions

ORIGIN = "trained by poselift on the CMU Graphics Lab Motion Capture Database (mocap.cs.cmu.edu)"
LICENCE = "Apache-2.0"


def export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Write a checkpoint as an ONNX file, checked against torch."
    parser.add_argument(
        "checkpoint", type=Path, help="or a model file of an older poselift, to convert"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="weights/NAME.onnx")
    parser.add_argument("--version", required=True, help="as in 1.0.0")
    parser.add_argument("--validation", type=Path, help="npz to measure the file on")
    parser.add_argument("--licence", default=LICENCE, help="of the weights, as the data permit")
    parser.add_argument("--origin", default=ORIGIN, help="training data, for the manifest")
    parser.add_argument("--float32", action="store_true", help="store float32 instead of float16")
    parser.add_argument("--int8", action="store_true", help="also write NAME-int8.onnx, faster")


def export_command(options: argparse.Namespace) -> None:
    network = stored_network(options.checkpoint)
    info, origin = _metadata(network.shape, options)
    if options.validation and info.normalisation == "image":
        raise InvalidInput(
            "--validation needs the normalisation person; measure this network with "
            "poselift evaluate"
        )
    half = not options.float32
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(options.output) as candidate:
        export(network, info, candidate, half_storage=half)
        if options.validation:
            metrics = _headline(candidate, load_recordings([options.validation]).kind(own=True))
            info = replace(info, metrics=metrics)
            export(network, info, candidate, half_storage=half)
    enter_in_manifest(options.output, info, origin)
    megabytes = options.output.stat().st_size / 1e6
    print(f"{options.output}: {megabytes:.1f} MB, outputs equal to torch")
    if options.int8:
        _export_int8(options, info, origin)


def _metadata(shape: NetworkShape, options: argparse.Namespace) -> tuple[ModelInfo, str]:
    """Metadata and origin of the new file; those of a model file that is converted are kept."""
    if not is_model_file(options.checkpoint):
        return _info(shape, options), options.origin
    _, before = read_model(options.checkpoint)
    entry = read_manifest(options.checkpoint.parent).get(before.name, {})
    info = replace(before, name=options.output.stem, version=options.version)
    return info, str(entry.get("origin", options.origin))


def _info(shape: NetworkShape, options: argparse.Namespace) -> ModelInfo:
    """Metadata of a checkpoint's model file. A network of two channels has the normalisation image
    and returns metres at the person's own size."""
    person = shape.channels == PERSON_CHANNELS
    return ModelInfo(
        name=options.output.stem,
        version=options.version,
        frames=shape.frames,
        channels=shape.channels,
        normalisation="person" if person else "image",
        readouts=READOUTS if person else READOUTS[:1],
        height_m=CANONICAL_HEIGHT_M if person else None,
        fps=Simulation().fps,
        licence=options.licence,
        training_commit=_commit(),
        metrics={},
        shape=asdict(shape),
    )


def _export_int8(options: argparse.Namespace, float32: ModelInfo, origin: str) -> None:
    target, measure = int8_path(options.output), None
    if options.validation:
        recordings = load_recordings([options.validation]).kind(own=True)
        measure = partial(_headline, recordings=recordings)
    result = quantise(options.output, target, measure)
    enter_in_manifest(target, result.info, f"{options.output.name} in int8; {origin}")
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, {result.summary(float32.metrics)}")
    if measure is None:
        print("errors were not measured: use --validation RECORDINGS")


def _headline(path: Path, recordings: Recordings) -> dict[str, float]:
    """The metrics stored in a file's metadata."""
    lifter = Lifter.load(path)
    metrics = {}
    for kind, simulation in evaluation_conditions().items():
        mean = evaluate(lifter, simulated_clips(recordings, simulation)).mean
        for name in ("mpjpe", "p_mpjpe", "n_mpjpe"):
            metrics[f"{kind} {name} mm"] = round(mean[name], 1)
    return metrics


def _commit() -> str:
    """The commit of this code, for the file's metadata."""
    result = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip() or "unknown"
