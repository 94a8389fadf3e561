"""`poselift bench --tune`: the best number of tokens in one model call on this machine."""

import time
from collections.abc import Iterator
from functools import partial

import numpy as np

from model import H36M17, Decode, Encode, Lifter, model_named
from service.bench.timing import interleave
from service.settings import Settings

CPU_TOKENS = (27, 54, 108, 162, 216, 324, 432, 864)
GPU_TOKENS = (216, 432, 864, 1728, 3456, 6912, 13824, 27648, 55296)
WORK_TOKENS = 1728
"""Minimum tokens of one measurement."""
CLOSE = 1.02
"""Costs within this ratio count as equal; the smaller call then has the lower latency."""


def tune(settings: Settings, rounds: int) -> Iterator[str]:
    """Markdown lines: the cost of a window for each size of a call, and the best setting. CPU time
    of one thread; on a GPU, wall time."""
    path = model_named(settings.default_model, settings.weights)
    lifter = Lifter.load(
        path,
        device=settings.device,
        tokens_a_pass=max(GPU_TOKENS),
        precision=settings.precision,
        gpu=settings.gpu,
    )
    gpu = lifter.device != "cpu"
    costs = _costs(lifter, GPU_TOKENS if gpu else CPU_TOKENS, rounds, gpu)
    yield f"{lifter.name} on {lifter.provider}, {lifter.info.precision}\n"
    yield "| tokens a call | windows | ms a window |\n|---|---|---|"
    for tokens, cost_s in costs.items():
        yield f"| {tokens} | {max(1, tokens // lifter.frames)} | {cost_s * 1e3:.3f} |"
    yield f"\nPOSELIFT_BATCH_TOKENS={best(costs)}"


def best(costs: dict[int, float]) -> int:
    """The smallest call that costs about as little as the cheapest."""
    return min(tokens for tokens, cost in costs.items() if cost <= CLOSE * min(costs.values()))


def _costs(lifter: Lifter, sizes: tuple[int, ...], rounds: int, gpu: bool) -> dict[int, float]:
    """Tokens a call -> seconds a window: its temporal half, and the spatial half of one frame."""
    windows = {tokens: max(1, tokens // lifter.frames) for tokens in sizes}
    calls = {tokens: max(1, WORK_TOKENS // (n * lifter.frames)) for tokens, n in windows.items()}
    ways = {str(tokens): partial(_work, lifter, windows[tokens], calls[tokens]) for tokens in sizes}
    timings = interleave(ways, rounds, time.perf_counter if gpu else time.process_time)
    return {t: timings.median_s(str(t)) / (windows[t] * calls[t]) for t in sizes}


def _work(lifter: Lifter, windows: int, calls: int) -> None:
    inputs = np.zeros((windows, len(H36M17.joints), lifter.info.channels), np.float32)
    for _ in range(calls):
        features = lifter.run_pass(Encode(inputs))
        lifter.run_pass(Decode(np.repeat(features[:, None], lifter.frames, axis=1)))
