"""Measures how long live streams wait for results, to decide whether to admit another one."""

import math
import time
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from service.errors import Overloaded

WINDOW_S = 2.0
QUANTILE = 0.9
MAX_RECORDS = 10_000
FULL = 0.9
"""Share of the time between frames that model calls can use before streams wait."""
GROWTH = 1.5
"""Load that a new stream adds, relative to a present one: waiting grows faster than the number of
streams."""


class LiveLoad:
    """The load is the time until a result divided by the duration of its frames: at 1, frames come
    as fast as they can be lifted; beyond that, every stream falls behind without end.

    New streams are rejected while the load would exceed `max_load`. Up to `always` streams are
    admitted anyway, because one client that sends faster than its frame rate looks like an
    overloaded machine, but no more than the time of a single frame allows. `calls` is the number of
    parallel model calls. Any hashable identifies a stream. Belongs to one event loop.
    """

    def __init__(self, max_load: float, always: int, calls: int):
        self.alone_s = 0.0  # time of one frame on the idle machine
        self._max_load = max_load
        self._always = always
        self._calls = calls
        self._results: deque[_Result] = deque(maxlen=MAX_RECORDS)
        # streams of the last seconds, as (time, stream, frames/s)
        self._begun: deque[tuple[float, Hashable, float]] = deque(maxlen=MAX_RECORDS)

    @contextmanager
    def measure(self, stream: Hashable, frames: int, fps: float) -> Iterator[None]:
        """Time the block that lifts the next frames of a stream, unless it raises."""
        start_s = time.monotonic()
        yield
        end_s = time.monotonic()
        load = (end_s - start_s) * fps / frames
        self._results.append(_Result(end_s, stream, load, frames, frames / fps))

    def begin(self, stream: Hashable, fps: float) -> None:
        """Admit a stream. Raises Overloaded."""
        now_s = time.monotonic()
        load = self._load_with_another(fps, now_s)
        active = {name for _, name, *_ in (*self._results, *self._begun)}
        if load > self._max_load and len(active) >= min(self._always, self._capacity(fps)):
            raise Overloaded(
                f"live results would take {load:.0%} of the time between frames, more than the "
                f"limit of {self._max_load:.0%}; try again in {WINDOW_S:g} s",
                int(WINDOW_S),
            )
        self._begun.append((now_s, stream, fps))

    def end(self, stream: Hashable) -> None:
        """Remove the records of a stream that has ended: they do not predict later ones."""
        _remove(self._results, stream)
        _remove(self._begun, stream)

    def load(self) -> float:
        """The 90 % quantile of the load of the last seconds; 0 without results."""
        _expire(self._results, time.monotonic())
        loads = [result.load for result in self._results]
        return float(np.quantile(loads, QUANTILE)) if loads else 0.0

    def _capacity(self, fps: float) -> float:
        """Streams of that rate that the machine can serve by the time of a single frame; at least
        1."""
        alone = self.alone_s * fps
        return max(1, self._calls * (FULL // alone)) if alone else math.inf

    def _load_with_another(self, fps: float, now_s: float) -> float:
        """The measured load plus that of the new stream and of the others that began within the
        window: streams that begin together would otherwise all see an idle machine."""
        _expire(self._begun, now_s)
        measured = self.load()
        duration_s = sum(result.duration_s for result in self._results)
        frame_s = self.alone_s
        if measured:
            frame_s = measured * duration_s / sum(result.frames for result in self._results)
        new_rate = fps + sum(other for *_, other in self._begun)  # frames/s
        return measured + GROWTH * frame_s * new_rate / max(duration_s / WINDOW_S, self._calls)


class _Result(NamedTuple):
    """Frames of a stream that were lifted together, and their load."""

    end_s: float
    stream: Hashable
    load: float
    frames: int
    duration_s: float


def _remove(records: deque[Any], stream: Hashable) -> None:
    kept = [record for record in records if record[1] != stream]
    records.clear()
    records.extend(kept)


def _expire(records: deque[Any], now_s: float) -> None:
    """Remove records older than the window; each begins with its time."""
    while records and records[0][0] < now_s - WINDOW_S:
        records.popleft()
