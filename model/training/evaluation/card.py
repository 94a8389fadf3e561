"""All figures of a model card, measured on the file itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from model.lifting.lifter import Lifter
from model.lifting.options import LiftOptions
from model.training.evaluation.errors import (
    Clip,
    Report,
    clips,
    evaluate,
    has_clips,
    look_ahead_errors,
    mean_pose_errors,
)
from model.training.evaluation.tables import errors_table, figures_table, look_ahead_table
from model.training.recordings import Recordings
from model.training.simulation.simulate import Simulation, evaluation_conditions

FPS = 50.0
OTHER_FPS = (25.0, 30.0, 60.0)


@dataclass(frozen=True)
class Card:
    """One condition's figures: rows by readout, by frame rate (where the recordings are long
    enough) and on rebuilt skeletons (where they hold any), and the dense readout's error by frames
    of look-ahead."""

    readouts: dict[str, Report]
    rates: dict[str, Report]
    rebuilt: dict[str, Report]
    look_ahead: dict[int, float]


def measure_card(lifter: Lifter, recordings: Recordings) -> dict[str, Card]:
    """By condition. Every clip is lifted some eight times: many minutes on one core."""
    return {
        kind: _measure(lifter, recordings, simulation)
        for kind, simulation in evaluation_conditions().items()
    }


def card_tables(cards: Mapping[str, Card]) -> str:
    """As Markdown."""
    plain = {kind: card.readouts["centre"] for kind, card in cards.items()}
    parts = [
        errors_table(_joined({kind: card.readouts for kind, card in cards.items()})),
        errors_table(_joined({kind: card.rates for kind, card in cards.items()})),
        look_ahead_table({kind: card.look_ahead for kind, card in cards.items()}),
        _beside({kind: report.joints for kind, report in plain.items()}),
        _beside({kind: _mpjpe(report.actions) for kind, report in plain.items()}),
        _beside({kind: _mpjpe(report.views) for kind, report in plain.items()}),
    ]
    rebuilt = _joined({kind: card.rebuilt for kind, card in cards.items()})
    if rebuilt:
        parts.append(errors_table(rebuilt))
    return "\n\n".join(parts)


def _measure(lifter: Lifter, recordings: Recordings, simulation: Simulation) -> Card:
    own = recordings.kind(own=True)
    filmed = list(clips(own, simulation, fps=FPS))
    rates = [fps for fps in OTHER_FPS if has_clips(own, fps)]
    rebuilt = {} if all(recordings.own_skeleton) else {"rebuilt": recordings.kind(own=False)}
    return Card(
        readouts=_readouts(lifter, filmed),
        rates={f"{x:g} fps": evaluate(lifter, clips(own, simulation, fps=x)) for x in rates},
        rebuilt={name: evaluate(lifter, clips(r, simulation)) for name, r in rebuilt.items()},
        look_ahead=look_ahead_errors(lifter, filmed),
    )


def _readouts(lifter: Lifter, filmed: list[Clip]) -> dict[str, Report]:
    return {
        "centre": evaluate(lifter, filmed),
        "dense": evaluate(lifter, filmed, LiftOptions(readout="dense")),
        "flip": evaluate(lifter, filmed, LiftOptions(flip=True)),
        "mean pose": mean_pose_errors(lifter, filmed),
    }


def _joined(rows: Mapping[str, Mapping[str, Report]]) -> dict[str, Report]:
    return {f"{kind}, {name}": row for kind, some in rows.items() for name, row in some.items()}


def _mpjpe(rows: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: row["mpjpe"] for name, row in rows.items()}


def _beside(columns: Mapping[str, Mapping[str, float]]) -> str:
    """MPJPE of each class that every condition has, one condition beside the other."""
    first, *others = columns.values()
    classes = [name for name in first if all(name in other for other in others)]
    return figures_table({c: {kind: row[c] for kind, row in columns.items()} for c in classes})
