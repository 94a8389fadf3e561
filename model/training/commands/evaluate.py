"""`poselift evaluate`: a model file -> its errors, as tables and as JSON."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from model.errors import InvalidInput
from model.lifting.lifter import Lifter
from model.lifting.options import READOUTS, LiftOptions
from model.runtime.precision import PRECISIONS
from model.training.datasets.options import dataset_arguments, test_videos
from model.training.datasets.videos import Normalisation, video_clips
from model.training.evaluation.errors import (
    Clip,
    Report,
    evaluate,
    look_ahead_errors,
    mean_pose_errors,
    simulated_clips,
)
from model.training.evaluation.tables import errors_table, look_ahead_table
from model.training.recordings import load_recordings
from model.training.simulation.windows import evaluation_conditions


def evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Measure a model file on recordings, with the service's own lifting code."
    parser.add_argument("model", type=Path)
    parser.add_argument("recordings", nargs="*", type=Path, help="npz files of motion capture")
    dataset_arguments(parser)
    parser.add_argument("--readout", choices=READOUTS, default="centre")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=PRECISIONS[0], help="arithmetic to run in"
    )
    parser.add_argument("--flip", action="store_true", help="average with the mirrored input")
    parser.add_argument("--fps", type=float, default=50.0, help="frame rate of the clips (50)")
    parser.add_argument(
        "--rebuilt", action="store_true", help="use rebuilt skeletons instead of people's own"
    )
    parser.add_argument("--actions", action="store_true", help="add a row for each action")
    parser.add_argument(
        "--look-ahead", action="store_true", help="dense readout: error against look-ahead"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to a file")


def evaluate_command(arguments: argparse.Namespace) -> None:
    lifter = Lifter.load(arguments.model, threads=arguments.threads, precision=arguments.precision)
    options = LiftOptions(readout=arguments.readout, flip=arguments.flip)
    rows: dict[str, Report] = {}
    look_ahead: dict[str, dict[int, float]] = {}
    for condition, clips in _clips(arguments, lifter).items():
        rows[condition] = evaluate(lifter, clips, options)
        rows[f"{condition}, mean pose"] = mean_pose_errors(lifter, clips)
        if arguments.look_ahead:
            look_ahead[condition] = look_ahead_errors(lifter, clips)
    print(errors_table(rows, actions=arguments.actions))
    if look_ahead:
        print("\n" + look_ahead_table(look_ahead))
    if arguments.json:
        errors = {condition: asdict(report) for condition, report in rows.items()}
        figures = {"errors": errors, "look_ahead": look_ahead}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def _clips(arguments: argparse.Namespace, lifter: Lifter) -> Mapping[str, Sequence[Clip]]:
    """Condition -> clips: recordings under simulated cameras, or a data set's own videos."""
    videos = test_videos(arguments)
    if bool(videos) == bool(arguments.recordings):
        raise InvalidInput(
            "name either recordings (npz files) or one published data set "
            "(--human36m, --mpi-inf-3dhp) to measure on"
        )
    if videos:
        normalisation: Normalisation = "image" if lifter.info.normalisation == "image" else "person"
        return {"videos": list(video_clips(videos, normalisation))}
    recordings = load_recordings(arguments.recordings).kind(own=not arguments.rebuilt)
    return {
        condition: list(simulated_clips(recordings, simulation, fps=arguments.fps))
        for condition, simulation in evaluation_conditions().items()
    }
