"""What a person at a terminal sees of work under way: a bar, warnings, errors in one line."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from model import Progress

IN_BYTES = ("downloading", "uploading")


@contextmanager
def bar(of: str = "") -> Iterator[Progress]:
    """A bar with the time left, for one stage after another; without a terminal nothing is drawn.
    `of` is what is worked on."""
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


def in_words(error: Exception) -> str:
    """An error as a line; an OSError without its number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
