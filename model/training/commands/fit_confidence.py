"""`poselift fit-confidence`: model file and recordings in; the file with a confidence out."""

import argparse
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import helper

from model.errors import InvalidInput
from model.files import written_whole
from model.lifting.lifter import Lifter
from model.lifting.model_files import ModelInfo, enter_in_manifest, read_manifest, read_model
from model.training.confidence.examples import filmed, gather
from model.training.confidence.fit import fit, held_out
from model.training.confidence.judge import judge
from model.training.confidence.plot import draw_reliability
from model.training.confidence.tables import judgement_tables
from model.training.recordings import load_recordings

WITHIN_MM = 100.0
CLIPS_A_PERSON = 60


def fit_confidence_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Make a model file say how sure each joint is, and judge that on people it was not "
        "fitted to."
    )
    parser.add_argument("model", type=Path, help="weights/NAME.onnx; its metadata are replaced")
    parser.add_argument(
        "recordings", nargs="+", type=Path, help="npz files of people that it was not trained on"
    )
    parser.add_argument(
        "--within-mm", type=float, default=WITHIN_MM, help="the distance that it speaks of (100)"
    )
    parser.add_argument(
        "--clips", type=int, default=CLIPS_A_PERSON, help="of each person at most so many (60)"
    )
    parser.add_argument("--plot", type=Path, help="also draw a reliability diagram, .png or .svg")


def fit_confidence_command(options: argparse.Namespace) -> None:
    """Raises InvalidInput where there are too few people or clips, ModelFileError."""
    if not (options.within_mm > 0 and options.clips > 0):
        raise InvalidInput("within_mm and clips are above 0")
    model, info = read_model(options.model)
    if info.height_m is None:
        raise InvalidInput(f"model {info.name} does not know body heights: nothing to fit to")
    lifter = Lifter.load(options.model, threads=options.threads)
    examples = gather(lifter, filmed(load_recordings(options.recordings), options.clips))
    judgement = judge(examples, held_out(examples, options.within_mm), options.within_mm)
    print(judgement_tables(judgement))
    if options.plot:
        draw_reliability(judgement, f"{info.name} {info.version}", options.plot)
    _store(model, replace(info, confidence=fit(examples, options.within_mm)), options.model)


def _store(model: onnx.ModelProto, info: ModelInfo, path: Path) -> None:
    """The same network under new metadata; where the manifest names it, with its new hash."""
    entry = read_manifest(path.parent).get(info.name)
    del model.metadata_props[:]
    helper.set_model_props(model, info.to_metadata())
    with written_whole(path) as part:
        part.write_bytes(model.SerializeToString())
    if entry and entry.get("file") == path.name:
        enter_in_manifest(path, info, str(entry["origin"]))
