"""A model's graph in float16, in memory: what GPUs compute fastest."""

import onnx
from onnx import TensorProto, numpy_helper

PRECISIONS = ("float32", "float16")
KEPT_FLOAT32 = ("LayerNormalization", "Softmax")
"""Sums over many numbers, and exponentials, in which float16 loses most."""


def in_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with weights and activations in float16; inputs and outputs stay float32."""
    # takes a second to import, and is wanted by few
    from onnxruntime.transformers.float16 import convert_float_to_float16

    unfold_halves(model)
    found: onnx.ModelProto = convert_float_to_float16(
        model, keep_io_types=True, op_block_list=list(KEPT_FLOAT32)
    )
    return found


def unfold_halves(model: onnx.ModelProto) -> None:
    """Weights stored as float16 behind a Cast -> float32 weights, in place: what conversions of
    the graph look for."""
    graph = model.graph
    halves = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT16}
    for node in [n for n in graph.node if n.op_type == "Cast" and n.input[0] in halves]:
        tensor = halves[node.input[0]]
        values = numpy_helper.to_array(tensor).astype("float32")
        tensor.CopyFrom(numpy_helper.from_array(values, node.output[0]))
        graph.node.remove(node)
