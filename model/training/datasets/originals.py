"""Folders of motion capture files -> one npz of recordings; unreadable files are reported."""

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
    """An import request. `actions` is CMU's index; `fps` is the frame rate of AMC files; `held_out`
    are subjects for validation, written to a second file."""

    sources: Sequence[Path]
    output: Path
    actions: Path | None = None
    fps: float | None = None
    held_out: Sequence[str] = ()


@dataclass
class Outcome:
    """Files written, and the reason for each file that was skipped."""

    written: dict[Path, Written] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


def import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Convert motion capture (CMU's ASF/AMC and BVH files, or data_3d_h36m.npz) to recordings "
        "to train on."
    )
    parser.add_argument("sources", nargs="+", type=Path, help="folders, or data_3d_h36m.npz")
    parser.add_argument("-o", "--output", type=Path, required=True, help="npz to write")
    parser.add_argument("--actions", type=Path, help="text: on each line a trial and its action")
    parser.add_argument("--fps", type=float, help="frame rate of AMC files (CMU's: 120 or 60)")
    parser.add_argument(
        "--split",
        nargs="+",
        default=(),
        metavar="SUBJECT",
        help="write these people to a second file for validation, with _val in its name",
    )


def import_command(options: argparse.Namespace) -> None:
    """`poselift import-motion`."""
    request = Import(
        options.sources, options.output, options.actions, options.fps, tuple(options.split)
    )
    print(report(import_motion(request)))


def import_motion(request: Import) -> Outcome:
    """Read all sources and write them; damaged files are skipped. Raises InvalidInput if there is
    nothing to write, or no recording of a subject to hold out."""
    outcome = Outcome()
    motions = list(_motions(request, outcome))
    if not motions:
        raise InvalidInput(
            "\n".join(["no recording could be read from the sources", *outcome.skipped])
        )
    subjects = {motion.subject for motion in motions}
    unknown = sorted(set(request.held_out) - subjects)
    if unknown:
        raise InvalidInput(
            f"no recordings of {', '.join(unknown)} to hold out; subjects are {sorted(subjects)}"
        )
    for path, split, chosen in _splits(request, motions):
        outcome.written[path] = write_recordings(path, chosen, split=split)
    return outcome


def report(outcome: Outcome) -> str:
    """A summary for the terminal."""
    lines = [
        f"{path}: {written.sequences} sequences, {written.minutes:.1f} minutes, "
        f"{len(written.subjects)} people"
        for path, written in outcome.written.items()
    ]
    if outcome.skipped:
        lines.append(f"skipped {len(outcome.skipped)} files:")
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
            raise InvalidInput(f"{source}: must be a folder of motion capture or data_3d_h36m.npz")
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
            outcome.skipped.append(f"{trial.path}: no usable piece between glitches")


def _splits(request: Import, motions: Sequence[Motion]) -> list[tuple[Path, str, Sequence[Motion]]]:
    """(path, split, motions) of one file, or of two that share no subject."""
    held_out = [motion for motion in motions if motion.subject in request.held_out]
    rest = [motion for motion in motions if motion.subject not in request.held_out]
    if not held_out:
        return [(request.output, "train", rest)]
    validation = request.output.with_stem(request.output.stem + "_val")
    return [(request.output, "train", rest), (validation, "val", held_out)]
