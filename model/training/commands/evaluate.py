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
from model.training.datasets.filmed import Normalisation, filmed_clips
from model.training.datasets.films import film_arguments, testing_films
from model.training.evaluation.card import card_tables, measure_card
from model.training.evaluation.errors import (
    Clip,
    Report,
    clips,
    evaluate,
    look_ahead_errors,
    mean_pose_errors,
)
from model.training.evaluation.rooms import room_errors
from model.training.evaluation.tables import errors_table, figures_table, look_ahead_table
from model.training.recordings import load_recordings
from model.training.simulation.simulate import evaluation_conditions


def evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Measure a model file on recordings, through the service's own path."
    parser.add_argument("model", type=Path)
    parser.add_argument("recordings", nargs="*", type=Path, help="npz files of motion")
    film_arguments(parser)
    parser.add_argument("--readout", choices=READOUTS, default="centre")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=PRECISIONS[0], help="what a file computes with"
    )
    parser.add_argument("--flip", action="store_true", help="also lift the mirrored picture")
    parser.add_argument("--fps", type=float, default=50.0)
    parser.add_argument("--rebuilt", action="store_true", help="rebuilt skeletons, not own ones")
    parser.add_argument("--actions", action="store_true", help="a row for each action too")
    parser.add_argument(
        "--look-ahead", action="store_true", help="the dense readout's error against its latency"
    )
    parser.add_argument(
        "--card", action="store_true", help="every table of the model card; takes many minutes"
    )
    parser.add_argument(
        "--world", action="store_true", help="errors of people's places, of up and of the floor"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to a file")


def evaluate_command(options: argparse.Namespace) -> None:
    lifter = Lifter.load(options.model, threads=options.threads, precision=options.precision)
    if options.card:
        _card(options, lifter)
    elif options.world:
        _world(options, lifter)
    else:
        _errors(options, lifter)


def _errors(options: argparse.Namespace, lifter: Lifter) -> None:
    asked = LiftOptions(readout=options.readout, flip=options.flip)
    rows: dict[str, Report] = {}
    ahead: dict[str, dict[int, float]] = {}
    for kind, filmed in _conditions(options, lifter).items():
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


def _card(options: argparse.Namespace, lifter: Lifter) -> None:
    if not options.recordings:
        raise InvalidInput("--card measures on recordings (npz files), under simulated cameras")
    cards = measure_card(lifter, load_recordings(options.recordings))
    print(card_tables(cards))
    if options.json:
        figures = {kind: asdict(card) for kind, card in cards.items()}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


def _world(options: argparse.Namespace, lifter: Lifter) -> None:
    if not options.recordings:
        raise InvalidInput("--world measures on recordings (npz files), under simulated cameras")
    recordings = load_recordings(options.recordings).kind(own=not options.rebuilt)
    rows = room_errors(lifter, recordings, LiftOptions(options.readout, options.flip))
    print(figures_table(rows, digits=2))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def _conditions(options: argparse.Namespace, lifter: Lifter) -> Mapping[str, Sequence[Clip]]:
    """What is measured on: recordings before simulated cameras, or films as they are."""
    films = testing_films(options)
    if bool(films) == bool(options.recordings):
        raise InvalidInput(
            "measure on recordings (npz files), or on the films of one published data set "
            "(--human36m, --mpi-inf-3dhp); one of the two"
        )
    if films:
        normalisation: Normalisation = "image" if lifter.info.normalisation == "image" else "person"
        return {"films": list(filmed_clips(films, normalisation))}
    recordings = load_recordings(options.recordings).kind(own=not options.rebuilt)
    return {
        kind: list(clips(recordings, simulation, fps=options.fps))
        for kind, simulation in evaluation_conditions().items()
    }
