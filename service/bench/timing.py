"""CPU time of several ways to the same end, taken in turns."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Way = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Timings:
    """Seconds of each way in each round. Ratios are medians of the rounds' own ratios, so that a
    machine whose speed drifts does not shift them."""

    seconds: Mapping[str, Sequence[float]]

    def median_s(self, way: str) -> float:
        return statistics.median(self.seconds[way])

    def times_faster(self, way: str, than: str) -> float:
        return self.cost(than, of=way)

    def cost(self, way: str, *, of: str) -> float:
        """What `way` costs, as a multiple of another."""
        rounds = zip(self.seconds[way], self.seconds[of], strict=True)
        return statistics.median(a / b for a, b in rounds)


def interleave(ways: Mapping[str, Way], rounds: int, clock: Clock = time.process_time) -> Timings:
    """Every way once a round, after a round that warms up and is not counted."""
    return interleave_anew(lambda _: ways, 1, rounds, clock)


def interleave_anew(
    open_ways: Callable[[int], Mapping[str, Way]],
    openings: int,
    rounds: int,
    clock: Clock = time.process_time,
) -> Timings:
    """The same for each of so many openings of the ways, which are told their number: where in
    memory a network's weights lie makes up to 8 % of its time, for as long as it is open."""
    seconds: dict[str, list[float]] = {}
    for opening in range(openings):
        ways = open_ways(opening)
        for way in ways.values():
            way()
        for _ in range(rounds):
            for name, way in ways.items():
                start = clock()
                way()
                seconds.setdefault(name, []).append(clock() - start)
    return Timings(seconds)
