"""How fast the shipped model lifts, on one thread, against running its whole graph for each window.

    .venv/bin/python benchmarks/lifting.py

Every figure is CPU seconds of this process, the median of interleaved rounds; ratios are medians of
the rounds' own ratios, so that a machine whose speed drifts does not shift them.
"""

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from model import H36M17, KeypointSequence, Lifter, LiftOptions, model_named, weights_folder

FRAMES = 500
ROUNDS = 5
WINDOWS_A_CALL = 8


def main() -> None:
    path = model_named("poseformer-27", weights_folder())
    lifter, sequence = Lifter.load(path), _walk()
    ways: dict[str, Callable[[], object]] = {
        "whole graph, every window": lambda: _whole(path, lifter, sequence),
        "split, centre readout": lambda: lifter.lift(sequence),
        "split, centre, flip": lambda: lifter.lift(sequence, LiftOptions(flip=True)),
        "split, dense readout": lambda: lifter.lift(sequence, LiftOptions(readout="dense")),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, way in ways.items():
            seconds[name].append(_cpu_seconds(way))
    first = next(iter(ways))
    print(f"{platform.processor() or platform.machine()}, {FRAMES} frames, {lifter.name}")
    print("| | frames/s | times the whole graph |\n|---|---|---|")
    for name, found in seconds.items():
        counted = found[1:]  # the first round warms up
        ratios = [a / b for a, b in zip(seconds[first][1:], counted, strict=True)]
        rate = FRAMES / statistics.median(counted)
        print(f"| {name} | {rate:.0f} | {statistics.median(ratios):.2f} |")


def _cpu_seconds(way: Callable[[], object]) -> float:
    start = time.process_time()
    way()
    return time.process_time() - start


_sessions: dict[Path, onnxruntime.InferenceSession] = {}


def _whole(path: Path, lifter: Lifter, sequence: KeypointSequence) -> list[np.ndarray]:
    """What a user of the ONNX file alone would do: each window through the whole network."""
    if path not in _sessions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        _sessions[path] = onnxruntime.InferenceSession(path, options)
    windows = lifter.window.over(lifter.prepare(sequence).inputs)
    step = WINDOWS_A_CALL
    chunks = [windows[i : i + step] for i in range(0, len(windows), step)]
    return [_sessions[path].run(["centre"], {"keypoints": chunk})[0] for chunk in chunks]


def _walk() -> KeypointSequence:
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(FRAMES, 17, 2)).cumsum(axis=0) + rng.uniform(300, 700, (1, 17, 2))
    return KeypointSequence(xy, np.ones((FRAMES, 17)), (1000, 1000), 50.0, H36M17)


if __name__ == "__main__":
    main()
