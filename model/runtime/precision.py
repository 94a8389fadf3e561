"""A model's graph in float16, in memory: the fastest precision on GPUs."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PRECISIONS = ("float32", "float16")
KEPT_FLOAT32 = ("LayerNormalization", "Softmax")
"""Long sums and exponentials, where float16 loses most accuracy."""


def in_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with weights and activations in float16; inputs and outputs stay float32."""
    # takes a second to import, and is rarely needed
    from onnxruntime.transformers.float16 import convert_float_to_float16

    unfold_halves(model)
    converted: onnx.ModelProto = convert_float_to_float16(
        model, keep_io_types=True, op_block_list=list(KEPT_FLOAT32)
    )
    return converted


def fold_halves(model: onnx.ModelProto) -> None:
    """Store weights that float16 represents exactly as float16, in place, each followed by a Cast
    that runtimes fold at load time.

    Others stay float32, as do scalars, which are constants (a norm's epsilon, a scale).
    """
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or not tensor.dims:
            continue
        values, name = numpy_helper.to_array(tensor), tensor.name
        half = values.astype(np.float16)
        if np.array_equal(half, values):
            tensor.CopyFrom(numpy_helper.from_array(half, name + "/half"))
            casts.append(helper.make_node("Cast", [name + "/half"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)


def unfold_halves(model: onnx.ModelProto) -> None:
    """The inverse of fold_halves, in place: graph conversions expect float32 weights."""
    graph = model.graph
    halves = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT16}
    for node in [n for n in graph.node if n.op_type == "Cast" and n.input[0] in halves]:
        tensor = halves[node.input[0]]
        values = numpy_helper.to_array(tensor).astype("float32")
        tensor.CopyFrom(numpy_helper.from_array(values, node.output[0]))
        graph.node.remove(node)
