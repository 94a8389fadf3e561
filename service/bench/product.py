"""How fast this machine multiplies matrices, in the shapes of the temporal half."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from service.bench.timing import Way, interleave

FLOP_A_ROUND = 4e9


def temporal_flop(frames: int, width: int, depth: int) -> float:
    """Multiplications and additions of the temporal half for one window: in each block qkv, proj
    and the two layers of the MLP (8 D^2 a token), and attention's two products (2 f D a token). The
    first block's qkv (3 D^2) is not among them: it is found once a frame."""
    each = 8 * width**2 + 2 * frames * width
    return 2.0 * frames * (depth * each - 3 * width**2)


def peak_flops(
    half: Way, flop: float, *, rows: int, width: int, rounds: int
) -> tuple[float, float]:
    """FLOP/s of `half`, which takes `flop` a call, and of the fastest of the products it is made
    of: (rows, D) by (D, D), (D, 2 D), (D, 3 D) and (rows, 2 D) by (2 D, D), taken in turns."""
    sizes = [(width, width), (width, 2 * width), (width, 3 * width), (2 * width, width)]
    ways, work = {"half": half}, {"half": flop}
    for inner, columns in sizes:
        once = 2.0 * rows * inner * columns
        calls = max(1, round(FLOP_A_ROUND / once))
        name = f"{inner} x {columns}"
        ways[name], work[name] = _product(rows, inner, columns, calls), once * calls
    timings = interleave(ways, rounds)
    rates = {name: work[name] / timings.median_s(name) for name in ways}
    reached = rates.pop("half")
    return reached, max(rates.values())


def _product(rows: int, inner: int, columns: int, calls: int) -> Way:
    """`calls` products with one constant matrix, as a network's layers are, on one thread."""
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
    given = {"a": rng.normal(size=(rows, inner)).astype(np.float32)}

    def multiply() -> None:
        for _ in range(calls):
            session.run(None, given)

    return multiply
