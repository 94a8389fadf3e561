"""Every table of weights/MODEL_CARD.md, measured on a model file itself.

    .venv/bin/python benchmarks/model_card.py MODEL.onnx RECORDINGS.npz... [--json FILE]

Each clip is lifted about eight times: many minutes on one core.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from model import Lifter, LiftOptions
from model.training.evaluation.errors import (
    Clip,
    Report,
    evaluate,
    has_clips,
    look_ahead_errors,
    mean_pose_errors,
    simulated_clips,
)
from model.training.evaluation.tables import errors_table, figures_table, look_ahead_table
from model.training.recordings import Recordings, load_recordings
from model.training.simulation.windows import Simulation, evaluation_conditions

FPS = 50.0
OTHER_FPS = (25.0, 30.0, 60.0)


@dataclass(frozen=True)
class Card:
    """Figures of one condition: reports by readout, by frame rate (where recordings are long
    enough) and on rebuilt skeletons (where there are any); dense readout's MPJPE by look-ahead."""

    readouts: dict[str, Report]
    rates: dict[str, Report]
    rebuilt: dict[str, Report]
    look_ahead: dict[int, float]


def measure_card(lifter: Lifter, recordings: Recordings) -> dict[str, Card]:
    """Condition -> its figures."""
    return {
        condition: _measure(lifter, recordings, simulation)
        for condition, simulation in evaluation_conditions().items()
    }


def card_tables(cards: Mapping[str, Card]) -> str:
    """All tables as Markdown."""
    centre = {condition: card.readouts["centre"] for condition, card in cards.items()}
    parts = [
        errors_table(_joined({name: card.readouts for name, card in cards.items()})),
        errors_table(_joined({name: card.rates for name, card in cards.items()})),
        look_ahead_table({name: card.look_ahead for name, card in cards.items()}),
        _side_by_side({name: report.joints for name, report in centre.items()}),
        _side_by_side({name: _mpjpe(report.actions) for name, report in centre.items()}),
        _side_by_side({name: _mpjpe(report.views) for name, report in centre.items()}),
    ]
    rebuilt = _joined({name: card.rebuilt for name, card in cards.items()})
    if rebuilt:
        parts.append(errors_table(rebuilt))
    return "\n\n".join(parts)


def _measure(lifter: Lifter, recordings: Recordings, simulation: Simulation) -> Card:
    own = recordings.kind(own=True)
    clips = list(simulated_clips(own, simulation, fps=FPS))
    rates = [fps for fps in OTHER_FPS if has_clips(own, fps)]
    rebuilt = {} if all(recordings.own_skeleton) else {"rebuilt": recordings.kind(own=False)}
    return Card(
        readouts=_readouts(lifter, clips),
        rates={
            f"{fps:g} fps": evaluate(lifter, simulated_clips(own, simulation, fps=fps))
            for fps in rates
        },
        rebuilt={
            name: evaluate(lifter, simulated_clips(some, simulation))
            for name, some in rebuilt.items()
        },
        look_ahead=look_ahead_errors(lifter, clips),
    )


def _readouts(lifter: Lifter, clips: list[Clip]) -> dict[str, Report]:
    return {
        "centre": evaluate(lifter, clips),
        "dense": evaluate(lifter, clips, LiftOptions(readout="dense")),
        "flip": evaluate(lifter, clips, LiftOptions(flip=True)),
        "mean pose": mean_pose_errors(lifter, clips),
    }


def _joined(rows: Mapping[str, Mapping[str, Report]]) -> dict[str, Report]:
    return {f"{kind}, {name}": row for kind, some in rows.items() for name, row in some.items()}


def _mpjpe(rows: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: row["mpjpe"] for name, row in rows.items()}


def _side_by_side(columns: Mapping[str, Mapping[str, float]]) -> str:
    """A row for each class that all conditions have, a column for each condition."""
    first, *others = columns.values()
    classes = [name for name in first if all(name in other for other in others)]
    return figures_table({c: {kind: row[c] for kind, row in columns.items()} for c in classes})


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("recordings", nargs="+", type=Path, help="npz files of motion capture")
    parser.add_argument("--json", type=Path, help="also write the figures to a file")
    options = parser.parse_args(arguments)
    cards = measure_card(Lifter.load(options.model), load_recordings(options.recordings))
    print(card_tables(cards))
    if options.json:
        figures = {condition: asdict(card) for condition, card in cards.items()}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
