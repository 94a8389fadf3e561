"""`poselift fit-confidence`: adds a confidence calibration to a model file."""

import argparse
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import helper

from model.errors import InvalidInput
from model.files import written_whole
from model.lifting.lifter import Lifter
from model.lifting.model_files import ModelInfo, enter_in_manifest, read_manifest, read_model
from model.training.confidence.examples import gather, sample_clips
from model.training.confidence.fit import fit, held_out
from model.training.confidence.plot import draw_reliability
from model.training.confidence.reliability import assess
from model.training.confidence.tables import reliability_tables
from model.training.recordings import load_recordings

WITHIN_MM = 100.0
CLIPS_A_PERSON = 60


def fit_confidence_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Add a confidence per joint to a model file, and evaluate it on people it was not fitted "
        "to."
    )
    parser.add_argument("model", type=Path, help="weights/NAME.onnx; its metadata are replaced")
    parser.add_argument(
        "recordings", nargs="+", type=Path, help="npz files of people it was not trained on"
    )
    parser.add_argument(
        "--within-mm",
        type=float,
        default=WITHIN_MM,
        help="confidence is the probability of an error up to this (100)",
    )
    parser.add_argument(
        "--clips", type=int, default=CLIPS_A_PERSON, help="limit of clips per person (60)"
    )
    parser.add_argument("--plot", type=Path, help="also draw a reliability diagram, .png or .svg")


def fit_confidence_command(options: argparse.Namespace) -> None:
    """Raises InvalidInput if there are too few people or clips, ModelFileError."""
    if not (options.within_mm > 0 and options.clips > 0):
        raise InvalidInput("--within-mm and --clips must be above 0")
    model, info = read_model(options.model)
    if info.height_m is None:
        raise InvalidInput(
            f"model {info.name} has no body height in its metadata; confidence can only be fitted "
            "to models trained by poselift"
        )
    lifter = Lifter.load(options.model, threads=options.threads)
    examples = gather(lifter, sample_clips(load_recordings(options.recordings), options.clips))
    reliability = assess(examples, held_out(examples, options.within_mm), options.within_mm)
    print(reliability_tables(reliability))
    if options.plot:
        draw_reliability(reliability, f"{info.name} {info.version}", options.plot)
    _store(model, replace(info, confidence=fit(examples, options.within_mm)), options.model)


def _store(model: onnx.ModelProto, info: ModelInfo, path: Path) -> None:
    """Write the network with new metadata; updates its hash in the manifest, if listed there."""
    entry = read_manifest(path.parent).get(info.name)
    del model.metadata_props[:]
    helper.set_model_props(model, info.to_metadata())
    with written_whole(path) as part:
        part.write_bytes(model.SerializeToString())
    if entry and entry.get("file") == path.name:
        enter_in_manifest(path, info, str(entry["origin"]))
