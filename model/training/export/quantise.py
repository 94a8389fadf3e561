"""A model file -> its int8 twin, faster and a little less exact.

The weight products of the temporal half, nearly all of a window's work, become products of
integers: int8 weights with a scale for each column, found once, and uint8 activations with one
scale for each call, found as it runs (ONNX Runtime's dynamic quantisation; standard operators).
The spatial half, attention's own products and the head stay float32, and so do the tensors at which
`Lifter` cuts the graph.
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
    """What int8 brought: the new file's own account of itself, and the time of one frame of a long
    sequence (one spatial pass, one window) in both files, ms on one thread."""

    info: ModelInfo
    float32_ms: float
    int8_ms: float

    def told(self, before: Mapping[str, float]) -> str:
        """The ratio of speeds, and each metric beside the float32 file's."""
        lines = [
            f"{self.float32_ms / self.int8_ms:.1f} times as fast as float32 on this machine "
            f"({self.float32_ms:.2f} -> {self.int8_ms:.2f} ms a frame, one thread)"
        ]
        for name in self.info.metrics.keys() & before.keys():
            was, now = before[name], self.info.metrics[name]
            lines.append(f"{name}: {was:.1f} -> {now:.1f} ({now - was:+.1f})")
        return "\n".join([lines[0], *sorted(lines[1:])])


def int8_path(path: Path) -> Path:
    """Where a file's int8 twin lies: NAME-int8.onnx beside NAME.onnx."""
    return path.with_name(f"{path.stem}-int8{path.suffix}")


def quantise(source: Path, target: Path, measure: Measure | None = None) -> Quantised:
    """Write the int8 twin of a float32 model file, time it and, with `measure`, let the file carry
    its own metrics. Raises ModelFileError and InvalidInput; a file that fails is not left behind.
    """
    model, info = read_model(source)
    if info.precision != "float32":
        raise InvalidInput(f"{source} is {info.precision} already: quantise the float32 file")
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
    """The names of the products to quantise: every one behind the rows of single frames (in older
    files, behind their features) that multiplies by weights, but those of the head, which are the
    last."""
    weights = {tensor.name for tensor in model.graph.initializer}
    made = {name for node in model.graph.node for name in node.output}
    reached = {FRAME_ROWS if FRAME_ROWS in made else FRAME_FEATURES}
    found: dict[str, str] = {}
    for node in model.graph.node:  # in the order of their run
        if reached.isdisjoint(node.input):
            continue
        reached.update(node.output)
        if node.op_type == "MatMul" and node.input[1] in weights:
            found[node.name] = head = node.input[1]
    return [name for name, factor in found.items() if factor != head]


def frame_times_ms(*lifters: Lifter, runs: int = 31) -> list[float]:
    """Median time of one frame of a long sequence in each, measured in turns so that whatever else
    the machine does slows all alike."""
    frames, channels = lifters[0].frames, lifters[0].info.channels
    count = max(1, TOKENS_A_PASS // frames)
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(count, JOINTS, channels)).astype(np.float32)
    times: list[list[float]] = [[] for _ in lifters]
    for _ in range(runs):
        for lifter, taken in zip(lifters, times, strict=True):
            started = time.perf_counter()
            features = lifter.encode(inputs)
            lifter.decode(np.broadcast_to(features[:, None], (count, frames, features.shape[-1])))
            taken.append((time.perf_counter() - started) / count * 1000)
    return [median(taken) for taken in times]


def _with_integers(model: onnx.ModelProto) -> onnx.ModelProto:
    unfold_halves(model)
    ONNXModel(model).replace_gemm_with_matmul()  # as the library does, but before nodes are named
    add_pre_process_metadata(model)  # else the library warns: there is nothing left to fold
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
