"""A model file -> its int8 version, faster and slightly less accurate.

The matrix products with weights in the temporal half, nearly all of a window's work, are quantised:
int8 weights with a scale per column, and uint8 activations with one scale per call (ONNX Runtime's
dynamic quantisation, standard operators). The spatial half, the products inside attention, the head
and the tensors at which `Lifter` cuts the graph stay float32.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from model.errors import InvalidInput
from model.files import written_whole
from model.lifting.lifter import Lifter
from model.lifting.model_files import FRAME_FEATURES, FRAME_ROWS, ModelInfo, read_model
from model.lifting.passes import TOKENS_A_PASS
from model.runtime.precision import fold_halves, unfold_halves
from model.training.networks.poseformer import JOINTS

Measure = Callable[[Path], Mapping[str, float]]


@dataclass(frozen=True)
class Quantised:
    """The int8 file's metadata, and the time per frame of a long sequence (one spatial pass, one
    window) with both files, ms on one thread."""

    info: ModelInfo
    float32_ms: float
    int8_ms: float

    def summary(self, float32_metrics: Mapping[str, float]) -> str:
        """The ratio of speeds, and each metric next to the float32 file's."""
        lines = [
            f"{self.float32_ms / self.int8_ms:.1f} times as fast as float32 on this machine "
            f"({self.float32_ms:.2f} -> {self.int8_ms:.2f} ms a frame, one thread)"
        ]
        for name in self.info.metrics.keys() & float32_metrics.keys():
            before, after = float32_metrics[name], self.info.metrics[name]
            lines.append(f"{name}: {before:.1f} -> {after:.1f} ({after - before:+.1f})")
        return "\n".join([lines[0], *sorted(lines[1:])])


def int8_path(path: Path) -> Path:
    """NAME.onnx -> NAME-int8.onnx in the same folder."""
    return path.with_name(f"{path.stem}-int8{path.suffix}")


def quantise(source: Path, target: Path, measure: Measure | None = None) -> Quantised:
    """Write the int8 version of a float32 model file and time it; `measure` gives the metrics that
    are stored in it. Raises ModelFileError and InvalidInput; no file is left after an error.
    """
    model, info = read_model(source)
    if info.precision != "float32":
        raise InvalidInput(f"{source} is already {info.precision}: quantise the float32 file")
    info = replace(info, name=target.stem, precision="int8", metrics={})
    integer = _with_integers(model)
    with written_whole(target) as part:
        _write(integer, info, part)
        float32_ms, int8_ms = frame_times_ms(Lifter.load(source), Lifter.load(part))
        if measure is not None:
            info = replace(info, metrics=dict(measure(part)))
            _write(integer, info, part)
    return Quantised(info, float32_ms, int8_ms)


def temporal_products(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes to quantise: products with weights after the frames' rows (in older files,
    their features), except the last ones, which are the head."""
    weights = {tensor.name for tensor in model.graph.initializer}
    outputs = {name for node in model.graph.node for name in node.output}
    reached = {FRAME_ROWS if FRAME_ROWS in outputs else FRAME_FEATURES}
    products: dict[str, str] = {}
    for node in model.graph.node:  # in order of execution
        if reached.isdisjoint(node.input):
            continue
        reached.update(node.output)
        if node.op_type == "MatMul" and node.input[1] in weights:
            products[node.name] = head = node.input[1]
    return [name for name, matrix in products.items() if matrix != head]


def frame_times_ms(*lifters: Lifter, runs: int = 31) -> list[float]:
    """Median time per frame of a long sequence with each lifter, measured in turns so that other
    load on the machine affects all equally."""
    frames, channels = lifters[0].frames, lifters[0].info.channels
    count = max(1, TOKENS_A_PASS // frames)
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(count, JOINTS, channels)).astype(np.float32)
    times: list[list[float]] = [[] for _ in lifters]
    for _ in range(runs):
        for lifter, frame_ms in zip(lifters, times, strict=True):
            started = time.perf_counter()
            features = lifter.encode(inputs)
            lifter.decode(np.broadcast_to(features[:, None], (count, frames, features.shape[-1])))
            frame_ms.append((time.perf_counter() - started) / count * 1000)
    return [median(frame_ms) for frame_ms in times]


def _with_integers(model: onnx.ModelProto) -> onnx.ModelProto:
    unfold_halves(model)
    ONNXModel(model).replace_gemm_with_matmul()  # the library does so too, but we need the names
    add_pre_process_metadata(model)  # the library warns without it
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=temporal_products(model),
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
        integer = onnx.load(path)
    fold_halves(integer)
    return integer


def _write(model: onnx.ModelProto, info: ModelInfo, path: Path) -> None:
    del model.metadata_props[:]
    helper.set_model_props(model, info.to_metadata())
    model.producer_name = "poselift"
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
