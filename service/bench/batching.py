"""The line about batching: the frames of many live streams, each alone or in shared calls."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing

from model import TOKENS_A_PASS, KeypointSequence, Lifter, LiftStream, carry_out
from service.bench.report import Line
from service.bench.timing import Timings, Way, interleave
from service.bench.trial import Trial, one_by_one, walk
from service.lifting.batcher import Batcher
from service.telemetry import Telemetry

Streams = Sequence[LiftStream]
Tick = Sequence[KeypointSequence]

FRAMES = 10
"""New frames of each stream in one round."""
MOST = {9: 0.6, 27: 0.85}


def batching(trial: Trial) -> Iterator[Line]:
    """As many streams as fill one call, a frame of each at a time."""
    for network in trial.networks():
        lifter = network.lifter
        streams = max(2, TOKENS_A_PASS // lifter.frames)
        timings = _timings(lifter, streams, trial.rounds)
        each = [timings.median_s(w) / streams / FRAMES * 1e3 for w in ("together", "alone")]
        yield Line(
            f"f={lifter.frames}: a window among {streams} streams, of the cost of one alone",
            timings.cost("together", of="alone"),
            MOST.get(lifter.frames),
            at_most=True,
            detail=f"{each[0]:.2f} ms, {each[1]:.2f}",
        )


def _timings(lifter: Lifter, streams: int, rounds: int) -> Timings:
    ticks = list(zip(*(one_by_one(walk(FRAMES, seed)) for seed in range(streams)), strict=True))
    ours, theirs = ([LiftStream(lifter, lookahead=0) for _ in range(streams)] for _ in range(2))
    batcher = Batcher(workers=1, tokens=TOKENS_A_PASS, liftings=streams, telemetry=Telemetry())
    with closing(batcher), asyncio.Runner() as loop:
        ways: dict[str, Way] = {
            "together": lambda: [loop.run(_together(batcher, lifter, ours, t)) for t in ticks],
            "alone": lambda: _alone(lifter, theirs, ticks),
        }
        return interleave(ways, rounds)


async def _together(batcher: Batcher, lifter: Lifter, streams: Streams, tick: Tick) -> None:
    pushed = (stream.push(frame) for stream, frame in zip(streams, tick, strict=True))
    await asyncio.gather(*(batcher.submit(lifter, lifting, live=True) for lifting in pushed))


def _alone(lifter: Lifter, streams: Streams, ticks: Sequence[Tick]) -> None:
    for tick in ticks:
        for stream, frame in zip(streams, tick, strict=True):
            carry_out(stream.push(frame), lifter.run_pass)
