"""Folders of original motion capture -> one npz of recordings; what cannot be read is reported."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from model.errors import InvalidInput
from model.training.datasets.cmu import (
    Trial,
    find_trials,
    read_actions,
    read_trial,
    without_repeats,
)
from model.training.datasets.human36m import world_motions
from model.training.datasets.motion import Motion, Written, write_recordings


@dataclass(frozen=True)
class Import:
    """What to read and how. `actions` is CMU's index; `fps` what AMC files are taken to have;
    `held_out` the subjects kept for validation, in a file of their own."""

    sources: Sequence[Path]
    output: Path
    actions: Path | None = None
    fps: float | None = None
    held_out: Sequence[str] = ()


@dataclass
class Outcome:
    """What was written where, and for each file that was left out the reason."""

    written: dict[Path, Written] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


def import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Turn original motion capture (CMU's ASF/AMC and BVH files, or data_3d_h36m.npz) into "
        "recordings to train on."
    )
    parser.add_argument("sources", nargs="+", type=Path, help="folders of originals")
    parser.add_argument("-o", "--output", type=Path, required=True, help="npz to write")
    parser.add_argument("--actions", type=Path, help="text: a trial and what it shows on each line")
    parser.add_argument("--fps", type=float, help="frame rate of AMC files (CMU's: 120 or 60)")
    parser.add_argument(
        "--split",
        nargs="+",
        default=(),
        metavar="SUBJECT",
        help="keep these people for validation, in a second file with _val in its name",
    )


def import_command(options: argparse.Namespace) -> None:
    """`poselift import-motion`: what was written, and what was left out and why."""
    request = Import(
        options.sources, options.output, options.actions, options.fps, tuple(options.split)
    )
    print(report(import_motion(request)))


def import_motion(request: Import) -> Outcome:
    """Read all sources and write them. A damaged file is skipped; raises InvalidInput where there
    is nothing to write, or a subject to hold out that does not exist."""
    outcome = Outcome()
    motions = list(_motions(request, outcome))
    if not motions:
        raise InvalidInput(
            "\n".join(["no recording could be read from what was given", *outcome.skipped])
        )
    subjects = {motion.subject for motion in motions}
    unknown = sorted(set(request.held_out) - subjects)
    if unknown:
        raise InvalidInput(
            f"no recordings of {', '.join(unknown)} to hold out; there are {sorted(subjects)}"
        )
    for path, split, chosen in _splits(request, motions):
        outcome.written[path] = write_recordings(path, chosen, split=split)
    return outcome


def report(outcome: Outcome) -> str:
    """What a person wants to know afterwards, a few lines."""
    lines = [
        f"{path}: {written.sequences} sequences, {written.minutes:.1f} minutes, "
        f"{len(written.subjects)} people"
        for path, written in outcome.written.items()
    ]
    if outcome.skipped:
        lines.append(f"left out {len(outcome.skipped)} files:")
        lines += [f"  {reason}" for reason in outcome.skipped]
    return "\n".join(lines)


def _motions(request: Import, outcome: Outcome) -> Iterator[Motion]:
    trials: list[Trial] = []
    for source in request.sources:
        if source.is_dir():
            trials += find_trials(source)
        elif source.suffix == ".npz":
            yield from world_motions(source)
        else:
            raise InvalidInput(f"{source}: neither a folder of originals nor data_3d_h36m.npz")
    trials, repeats = without_repeats(trials)
    outcome.skipped += [
        f"{trial.path}: {trial.name} was read from another file" for trial in repeats
    ]
    actions = read_actions(request.actions) if request.actions else {}
    yield from _read_all(trials, actions, request.fps, outcome)


def _read_all(
    trials: Sequence[Trial], actions: Mapping[str, str], fps: float | None, outcome: Outcome
) -> Iterator[Motion]:
    for trial in tqdm(trials, unit="file", disable=None, file=sys.stderr):
        try:
            motion = read_trial(trial, actions.get(trial.name), fps)
        except InvalidInput as fault:
            outcome.skipped.append(str(fault))
            continue
        if any(motion.pieces()):
            yield motion
        else:
            outcome.skipped.append(f"{trial.path}: nothing is left between its glitches")


def _splits(request: Import, motions: Sequence[Motion]) -> list[tuple[Path, str, Sequence[Motion]]]:
    """One file; or two, with `_val` in the name of the second, that share no subject."""
    held = [motion for motion in motions if motion.subject in request.held_out]
    rest = [motion for motion in motions if motion.subject not in request.held_out]
    if not held:
        return [(request.output, "train", rest)]
    validation = request.output.with_stem(request.output.stem + "_val")
    return [(request.output, "train", rest), (validation, "val", held)]
