"""How long live streams wait for their answers, and so whether another one may begin."""

import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from service.errors import Overloaded

WINDOW_S = 2.0
QUANTILE = 0.9
MOST_HELD = 10_000
FULL = 0.9
"""What of the time between frames may be work, when nothing waits for anything else."""
GROWTH = 1.5
"""A newcomer is taken to add so many times what each of the others did: waiting grows faster than
the number of streams."""


class LiveLoad:
    """Measures waiting in units of the time that the answered frames last: at 1, frames come as
    fast as they can be answered, and beyond that every stream falls behind without end.

    `most` is what may be reached; so many as `always` are let in nevertheless, because one client
    that sends faster than its frame rate looks like a machine that is behind, but no more than the
    machine would hold by what a frame takes alone; `calls` is how many liftings it carries out at
    once. Streams are told apart by any name. One event loop's.
    """

    def __init__(self, most: float, always: int, calls: int):
        self.alone_s = 0.0  # what a frame takes while nothing else is under way
        self._most = most
        self._always = always
        self._calls = calls
        self._answered: deque[_Answered] = deque(maxlen=MOST_HELD)
        self._begun: deque[tuple[float, Hashable, float]] = deque(maxlen=MOST_HELD)

    @contextmanager
    def answering(self, stream: Hashable, frames: int, fps: float) -> Iterator[None]:
        """Around the work on a stream's next frames; work that fails is not counted."""
        start_s = time.monotonic()
        yield
        end_s = time.monotonic()
        share = (end_s - start_s) * fps / frames
        self._answered.append(_Answered(end_s, stream, share, frames, frames / fps))

    def begin(self, stream: Hashable, fps: float) -> None:
        """Let a stream in; raises Overloaded."""
        now_s = time.monotonic()
        load = self._with_another(fps, now_s)
        under_way = {name for _, name, *_ in (*self._answered, *self._begun)}
        if load > self._most and len(under_way) >= min(self._always, self._surely_held(fps)):
            raise Overloaded(
                f"live answers would take {load:.0%} of the time between frames, and at most "
                f"{self._most:.0%} keeps them in time; try again in {WINDOW_S:g} s",
                int(WINDOW_S),
            )
        self._begun.append((now_s, stream, fps))

    def end(self, stream: Hashable) -> None:
        """What a stream that is over took says nothing of those to come: it is forgotten."""
        _keep(self._answered, lambda one: one[1] != stream)
        _keep(self._begun, lambda one: one[1] != stream)

    def waiting(self) -> float:
        """What nine in ten frames of the last seconds stayed below; 0 where there were none."""
        _forget(self._answered, time.monotonic())
        shares = [one.share for one in self._answered]
        return float(np.quantile(shares, QUANTILE)) if shares else 0.0

    def _surely_held(self, fps: float) -> float:
        """Streams of that rate, each of the calls serving its own one after another; the first is
        never refused."""
        alone = self.alone_s * fps
        return max(1, self._calls * (FULL // alone)) if alone else math.inf

    def _with_another(self, fps: float, now_s: float) -> float:
        """What is measured, and what those will add who are not measured yet, the asker among them:
        who begin together would else all find the machine idle."""
        _forget(self._begun, now_s)
        measured = self.waiting()
        lasted_s = sum(one.lasted_s for one in self._answered)
        frame_s = self.alone_s
        if measured:
            frame_s = measured * lasted_s / sum(one.frames for one in self._answered)
        newcomers = fps + sum(other for *_, other in self._begun)  # frames/s
        return measured + GROWTH * frame_s * newcomers / max(lasted_s / WINDOW_S, self._calls)


class _Answered(NamedTuple):
    """Frames of a stream that were answered together, which took `share` of the time that they
    last."""

    end_s: float
    stream: Hashable
    share: float
    frames: int
    lasted_s: float


def _keep(held: deque[Any], wanted: Callable[[Any], bool]) -> None:
    kept = [one for one in held if wanted(one)]
    held.clear()
    held.extend(kept)


def _forget(held: deque[Any], now_s: float) -> None:
    """Drop what is older than the window; the first of each is when it was."""
    while held and held[0][0] < now_s - WINDOW_S:
        held.popleft()
