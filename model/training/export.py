"""A trained network -> one self-describing ONNX file, checked against torch.

The two halves are exported apart and joined, so that the tensors between them have names and a
free first axis: that is where `Lifter` cuts the graph again.
"""

import copy
import logging
import os
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose, helper, numpy_helper
from torch import Tensor, nn

from model.errors import ModelFileError
from model.lifter import Lifter
from model.model_files import FRAME_FEATURES, FRAME_JOINTS, ModelInfo
from model.training.network import JOINTS, PoseFormer, Readouts

OPSET = 20
PARITY_M = 1e-5
"""The file and torch, holding the same weights, may differ by this much at the most."""


def export(network: PoseFormer, info: ModelInfo, path: Path, *, half_storage: bool = True) -> None:
    """Write `network` to `path`, then check the file; a file that fails is not left behind.

    With `half_storage` the weights are stored as float16 (and computed with as float32), which
    halves the file. Raises ModelFileError when the file's answers differ from torch's.
    """
    network = _rounded(network) if half_storage else network
    model = _graph(network.eval(), info)
    if half_storage:
        _store_as_half(model)
    onnx.checker.check_model(model, full_check=True)
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(model.SerializeToString())
    try:
        check_parity(network, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@torch.no_grad()
def check_parity(network: PoseFormer, path: Path) -> float:
    """The largest difference (m) between the file and torch on random windows, whole and split.

    Raises ModelFileError above PARITY_M.
    """
    shape = network.shape
    generator = torch.Generator().manual_seed(0)
    windows = torch.randn(5, shape.frames, JOINTS, shape.channels, generator=generator)
    answer = network(windows)
    lifter = Lifter.load(path)
    found = lifter.run(windows.numpy())
    worst = float(np.abs(found.centre - answer.centre.numpy()).max())
    if found.dense is not None:
        worst = max(worst, float(np.abs(found.dense - answer.dense.numpy()).max()))
    if not worst <= PARITY_M:
        raise ModelFileError(
            f"{path}: the exported file differs from torch by {worst:.2g} m, "
            f"at most {PARITY_M:g} is allowed"
        )
    return worst


class _Temporal(nn.Module):
    """The temporal half on features (N, D) that are not yet cut into windows."""

    def __init__(self, network: PoseFormer, dense: bool):
        super().__init__()
        self.network = network
        self.dense = dense

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        shape = self.network.shape
        found: Readouts = self.network.decode(features.reshape(-1, shape.frames, shape.frame_width))
        return tuple(found) if self.dense else (found.centre,)


class _Spatial(nn.Module):
    def __init__(self, network: PoseFormer):
        super().__init__()
        self.network = network

    def forward(self, joints: Tensor) -> Tensor:
        return self.network.encode(joints)


def _graph(network: PoseFormer, info: ModelInfo) -> onnx.ModelProto:
    shape = network.shape
    frames, any_count = 2 * shape.frames, torch.export.Dim("frames_in_all")
    spatial = _export(
        _Spatial(network),
        torch.zeros(frames, JOINTS, shape.channels),
        FRAME_JOINTS,
        [FRAME_FEATURES],
        any_count,
    )
    temporal = _export(
        _Temporal(network, "dense" in info.readouts),
        torch.zeros(frames, shape.frame_width),
        "window_features",
        list(info.readouts),
        shape.frames * torch.export.Dim("windows"),
    )
    spatial = compose.add_prefix(spatial, "spatial/", rename_inputs=False, rename_outputs=False)
    temporal = compose.add_prefix(temporal, "temporal/", rename_inputs=False, rename_outputs=False)
    joined = compose.merge_models(spatial, temporal, io_map=[(FRAME_FEATURES, "window_features")])
    _take_windows(joined, shape.frames, shape.channels)
    _set_sizes(joined, info)
    del joined.metadata_props[:]
    helper.set_model_props(joined, info.to_metadata())
    del joined.opset_import[1:]  # both halves bring the same
    joined.producer_name = "poselift"
    joined.doc_string = f"{type(network).__name__}; see the metadata"
    return joined


def _export(
    module: nn.Module, example: Tensor, name: str, outputs: list[str], count: object
) -> onnx.ModelProto:
    """One half with a free first axis."""
    # it would tell the user four times that torchvision, which nothing here needs, is absent
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own exporter, about itself
        program = torch.onnx.export(
            module.eval(),
            (example,),
            input_names=[name],
            output_names=outputs,
            dynamic_shapes=({0: count},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # source lines of the machine that exported it
    return model


def _take_windows(model: onnx.ModelProto, frames: int, channels: int) -> None:
    """Let the whole graph begin with windows (B, f, 17, C), flattened into frames."""
    graph = model.graph
    flat = numpy_helper.from_array(np.array([-1, JOINTS, channels], np.int64), "flat_shape")
    graph.initializer.append(flat)
    graph.node.insert(0, helper.make_node("Reshape", ["keypoints", "flat_shape"], [FRAME_JOINTS]))
    del graph.input[:]
    sizes: list[str | int | None] = ["windows", frames, JOINTS, channels]
    graph.input.append(helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, sizes))


def _set_sizes(model: onnx.ModelProto, info: ModelInfo) -> None:
    """State the sizes of the outputs and of the two tensors at which the graph is cut."""
    frames = {"centre": 1, "dense": info.frames}
    graph = model.graph
    del graph.output[:], graph.value_info[:]
    for name in info.readouts:
        sizes: list[str | int | None] = ["windows", frames[name], JOINTS, 3]
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes))
    width = JOINTS * int(info.shape["joint_width"])
    between: dict[str, list[str | int | None]] = {
        FRAME_JOINTS: ["frames_in_all", JOINTS, info.channels],
        FRAME_FEATURES: ["frames_in_all", width],
    }
    for name, sizes in between.items():
        graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes))


def _store_as_half(model: onnx.ModelProto) -> None:
    """Keep float32 weights as float16, each behind a Cast that a runtime folds away at load.

    Scalars stay: the graph's own constants (a norm's epsilon, a scale) are not weights.
    """
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or not tensor.dims:
            continue
        values = numpy_helper.to_array(tensor).astype(np.float16)
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values, name + "/half"))
        casts.append(helper.make_node("Cast", [name + "/half"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)


def _rounded(network: PoseFormer) -> PoseFormer:
    """A copy whose weights are exactly what float16 storage will give back."""
    rounded = copy.deepcopy(network)
    rounded.load_state_dict({k: v.half().float() for k, v in network.state_dict().items()})
    return rounded.eval()
