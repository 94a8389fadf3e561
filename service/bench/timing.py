"""CPU time of several ways to the same result, measured in turns."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

Way = Callable[[], object]
Clock = Callable[[], float]
FLOP_A_ROUND = 4e9


@dataclass(frozen=True)
class Timings:
    """Seconds of each way in each round. Ratios are medians of the ratios within a round, so that a
    drift of the machine's speed does not shift them."""

    seconds: Mapping[str, Sequence[float]]

    def median_s(self, way: str) -> float:
        return statistics.median(self.seconds[way])

    def cost(self, way: str, *, of: str) -> float:
        """The cost of `way` as a multiple of the cost of another."""
        rounds = zip(self.seconds[way], self.seconds[of], strict=True)
        return statistics.median(a / b for a, b in rounds)


def interleave(ways: Mapping[str, Way], rounds: int, clock: Clock = time.process_time) -> Timings:
    """Time every way once a round, after one round of warm-up."""
    return interleave_reopened(lambda _: ways, 1, rounds, clock)


def interleave_reopened(
    open_ways: Callable[[int], Mapping[str, Way]],
    openings: int,
    rounds: int,
    clock: Clock = time.process_time,
) -> Timings:
    """The same, for ways that are opened `openings` times, by their number from 0: the memory
    address of a network's weights changes its time by up to 8 % for as long as it is open."""
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


def temporal_flop(frames: int, width: int, depth: int) -> float:
    """Multiplications and additions of the temporal half for one window: in each block qkv, proj
    and the two layers of the MLP (8 D^2 a token), and the two products of attention (2 f D a
    token), without the first block's qkv (3 D^2), which is computed once a frame."""
    each = 8 * width**2 + 2 * frames * width
    return 2.0 * frames * (depth * each - 3 * width**2)


def peak_flops(
    half: Way, flop: float, *, rows: int, width: int, rounds: int
) -> tuple[float, float]:
    """FLOP/s of `half`, which takes `flop` a call, and of the fastest of its matrix products:
    (rows, D) by (D, D), (D, 2 D), (D, 3 D) and (rows, 2 D) by (2 D, D), in turns."""
    sizes = [(width, width), (width, 2 * width), (width, 3 * width), (2 * width, width)]
    ways, work = {"half": half}, {"half": flop}
    for inner, columns in sizes:
        once = 2.0 * rows * inner * columns
        calls = max(1, round(FLOP_A_ROUND / once))
        name = f"{inner} x {columns}"
        ways[name], work[name] = _product(rows, inner, columns, calls), once * calls
    timings = interleave(ways, rounds)
    rates = {name: work[name] / timings.median_s(name) for name in ways}
    return rates.pop("half"), max(rates.values())


def _product(rows: int, inner: int, columns: int, calls: int) -> Way:
    """`calls` products with one constant matrix, like the layers of a network, on one thread."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(inner, columns)).astype(np.float32)
    sides = {"a": [rows, inner], "c": [rows, columns]}
    a, c = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in sides.items())
    node = helper.make_node("MatMul", ["a", "b"], ["c"])
    graph = helper.make_graph([node], "product", [a], [c], [numpy_helper.from_array(weights, "b")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    inputs = {"a": rng.normal(size=(rows, inner)).astype(np.float32)}

    def multiply() -> None:
        for _ in range(calls):
            session.run(None, inputs)

    return multiply
