"""Output for a person at a terminal: a progress bar, warnings, errors and results in one line."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from model import Progress, VideoResult

IN_BYTES = ("downloading", "uploading")


@contextmanager
def bar(of: str = "") -> Iterator[Progress]:
    """A bar with the time left, for one stage after another; nothing is drawn without a terminal.
    `of` names the video."""
    shown = None
    with tqdm(disable=None, unit_scale=True) as drawn:

        def show(stage: str, done: int, total: int | None) -> None:
            nonlocal shown
            if stage != shown:
                shown = stage
                drawn.set_description(f"{of} {stage}".strip(), refresh=False)
                drawn.unit = "B" if stage in IN_BYTES else " frames"
                drawn.reset()
            drawn.total = total
            drawn.update(done - drawn.n)

        yield show


def say(message: str) -> None:
    print(f"poselift: {message}", file=sys.stderr)


def warn(warnings: Iterable[str], of: str = "") -> None:
    for warning in warnings:
        say(f"warning: {of}{': ' * bool(of)}{warning}")


def report(name: str, who: str, files: Sequence[Path]) -> None:
    """One line on stdout: who was found, and the files written."""
    written = ", ".join(map(str, files)) or "nothing"
    print(f"poselift: {name}: {who}; wrote {written}")


def people_in(result: VideoResult) -> str:
    """As in `2 people in 75 frames (1: 75, 2: 70)`: each person's id and frames."""
    people = result.people
    count = f"{len(people)} {'person' if len(people) == 1 else 'people'}"
    each = ", ".join(f"{person.id}: {len(person.frames)}" for person in people)
    return f"{count} in {result.video.frames} frames" + (f" ({each})" if people else "")


def in_words(error: Exception) -> str:
    """An error as one line; an OSError without its number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
