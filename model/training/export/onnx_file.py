"""A trained network -> one self-describing ONNX file, checked against torch.

The network's parts are exported separately and joined, so that the tensors between them have names
and a dynamic first axis: there `Lifter` cuts the graph again.
"""

import copy
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose, helper, numpy_helper
from torch import Tensor, nn

from model.errors import ModelFileError
from model.files import written_whole
from model.lifting.lifter import Lifter
from model.lifting.model_files import FRAME_FEATURES, FRAME_JOINTS, FRAME_ROWS, ModelInfo
from model.runtime.precision import fold_halves
from model.training.export.arranged import FrameShares, SpatialHalf, TemporalHalf
from model.training.networks.poseformer import JOINTS, PoseFormer, Readouts

OPSET = 20
PARITY_M = 1e-5
"""Largest allowed difference between the outputs of the file and of torch."""


def export(
    network: PoseFormer,
    info: ModelInfo,
    path: Path,
    *,
    half_storage: bool = True,
    arranged: bool = True,
) -> None:
    """Write `network` to `path` and check it; no file is left if the check fails.

    `half_storage` stores weights as float16 (converted to float32 to compute), which halves the
    file. `arranged` exports the faster form of arranged.py, for PoseFormer only. Raises
    ModelFileError if the file's outputs differ from torch's.
    """
    network = _rounded(network) if half_storage else network
    arranged = arranged and type(network) is PoseFormer and network.shape.temporal_depth > 0
    model = (_arranged_graph if arranged else _plain_graph)(network.eval(), info)
    _describe(model, network, info)
    if half_storage:
        fold_halves(model)
    onnx.checker.check_model(model, full_check=True)
    with written_whole(path) as part:
        part.write_bytes(model.SerializeToString())
        check_parity(network, part)


@torch.no_grad()
def check_parity(network: PoseFormer, path: Path) -> float:
    """The largest difference (m) between the file and torch on random windows.

    Raises ModelFileError above PARITY_M.
    """
    shape = network.shape
    generator = torch.Generator().manual_seed(0)
    windows = torch.randn(5, shape.frames, JOINTS, shape.channels, generator=generator)
    expected = network(windows)
    actual = Lifter.load(path).run(windows.numpy())
    worst = float(np.abs(actual.centre - expected.centre.numpy()).max())
    if actual.dense is not None:
        worst = max(worst, float(np.abs(actual.dense - expected.dense.numpy()).max()))
    if not worst <= PARITY_M:
        raise ModelFileError(
            f"{path}: outputs of the exported file differ from torch by {worst:.2g} m, "
            f"at most {PARITY_M:g} is allowed"
        )
    return worst


class _Temporal(nn.Module):
    """The temporal half on features (N, D) of consecutive windows."""

    def __init__(self, network: PoseFormer, dense: bool):
        super().__init__()
        self.network = network
        self.dense = dense

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        shape = self.network.shape
        windows = features.reshape(-1, shape.frames, shape.frame_width)
        readouts: Readouts = self.network.decode(windows)
        return tuple(readouts) if self.dense else (readouts.centre,)


class _Spatial(nn.Module):
    def __init__(self, network: PoseFormer):
        super().__init__()
        self.network = network

    def forward(self, joints: Tensor) -> Tensor:
        return self.network.encode(joints)


def _arranged_graph(network: PoseFormer, info: ModelInfo) -> onnx.ModelProto:
    shape = network.shape
    frames, width = 2 * shape.frames, shape.frame_width
    joints = torch.zeros(frames, JOINTS, shape.channels)
    any_count = torch.export.Dim("frames_in_all")
    spatial = _export(SpatialHalf(network), joints, FRAME_JOINTS, [FRAME_FEATURES], any_count)
    features = torch.zeros(frames, width)
    shares = _export(FrameShares(network), features, "features", [FRAME_ROWS], any_count)
    temporal = _export(
        TemporalHalf(network, "dense" in info.readouts),
        torch.zeros(frames, 4 * width),
        "rows",
        list(info.readouts),
        shape.frames * torch.export.Dim("windows"),
    )
    joined = _join(spatial, shares, (FRAME_FEATURES, "features"), ("spatial/", "shares/"))
    return _join(joined, temporal, (FRAME_ROWS, "rows"), ("", "temporal/"))


def _plain_graph(network: PoseFormer, info: ModelInfo) -> onnx.ModelProto:
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
        "features",
        list(info.readouts),
        shape.frames * torch.export.Dim("windows"),
    )
    return _join(spatial, temporal, (FRAME_FEATURES, "features"), ("spatial/", "temporal/"))


def _join(
    first: onnx.ModelProto,
    second: onnx.ModelProto,
    seam: tuple[str, str],
    prefixes: tuple[str, str],
) -> onnx.ModelProto:
    """Connect the first graph's output to the second's input; prefixes avoid name clashes."""
    first, second = (
        compose.add_prefix(part, prefix, rename_inputs=False, rename_outputs=False)
        for part, prefix in zip((first, second), prefixes, strict=True)
    )
    return compose.merge_models(first, second, io_map=[seam])


def _describe(model: onnx.ModelProto, network: PoseFormer, info: ModelInfo) -> None:
    """Make the graph read whole windows, and add its metadata."""
    _take_windows(model, info.frames, info.channels)
    _set_sizes(model, info)
    del model.metadata_props[:]
    helper.set_model_props(model, info.to_metadata())
    del model.opset_import[1:]  # the same for all parts
    model.producer_name = "poselift"
    model.doc_string = f"{type(network).__name__}; see the metadata"


def _export(
    module: nn.Module, example: Tensor, name: str, outputs: list[str], count: object
) -> onnx.ModelProto:
    """One part, with a dynamic first axis."""
    # it warns four times that torchvision, which is not needed, is absent
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about itself
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
        del node.metadata_props[:]  # source paths of this machine
    return model


def _take_windows(model: onnx.ModelProto, frames: int, channels: int) -> None:
    """Make the graph's input windows (B, f, 17, C), which it flattens into frames."""
    graph = model.graph
    flat = numpy_helper.from_array(np.array([-1, JOINTS, channels], np.int64), "flat_shape")
    graph.initializer.append(flat)
    graph.node.insert(0, helper.make_node("Reshape", ["keypoints", "flat_shape"], [FRAME_JOINTS]))
    del graph.input[:]
    sizes: list[str | int | None] = ["windows", frames, JOINTS, channels]
    graph.input.append(helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, sizes))


def _set_sizes(model: onnx.ModelProto, info: ModelInfo) -> None:
    """Declare the sizes of the outputs and of the tensors at which the graph is cut."""
    frames = {"centre": 1, "dense": info.frames}
    graph = model.graph
    made = {name for node in graph.node for name in node.output}
    del graph.output[:], graph.value_info[:]
    for name in info.readouts:
        sizes: list[str | int | None] = ["windows", frames[name], JOINTS, 3]
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes))
    width = JOINTS * int(info.shape["joint_width"])
    between: dict[str, list[str | int | None]] = {
        FRAME_JOINTS: ["frames_in_all", JOINTS, info.channels],
        FRAME_FEATURES: ["frames_in_all", width],
        FRAME_ROWS: ["frames_in_all", 4 * width],
    }
    for name, sizes in between.items():
        if name not in made:
            continue
        graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes))


def _rounded(network: PoseFormer) -> PoseFormer:
    """A copy with weights rounded to float16."""
    rounded = copy.deepcopy(network)
    rounded.load_state_dict({k: v.half().float() for k, v in network.state_dict().items()})
    return rounded.eval()
