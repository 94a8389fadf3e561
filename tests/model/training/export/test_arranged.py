"""The arranged form equals the trained network: in torch, in the file and in both halves."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from model import Lifter
from model.lifting.lifter import halves
from model.lifting.model_files import FRAME_ROWS, read_model
from model.runtime.devices import CPU, Device
from model.training.export.arranged import FrameShares, SpatialHalf, TemporalHalf
from model.training.networks.poseformer import NetworkShape
from networks import SHAPES, exported, model_info, random_network


@pytest.mark.parametrize("shape", SHAPES)
@torch.inference_mode()
def test_parts_equal_the_network(shape: NetworkShape) -> None:
    network, keypoints = random_network(shape), torch.randn(3, shape.frames, 17, 6)
    rows = FrameShares(network)(SpatialHalf(network)(keypoints.flatten(0, 1)))
    assert rows.shape == (3 * shape.frames, 4 * shape.frame_width)
    expected = network(keypoints)
    centre, dense = TemporalHalf(network, dense=True)(rows)
    torch.testing.assert_close(centre, expected.centre, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(dense, expected.dense, atol=1e-5, rtol=1e-5)
    (alone,) = TemporalHalf(network, dense=False)(rows)
    torch.testing.assert_close(alone, centre)


@pytest.mark.parametrize("shape", SHAPES)
def test_arranged_file_equals_plain_file(shape: NetworkShape) -> None:
    windows = np.random.default_rng(0).normal(size=(4, shape.frames, 17, 6)).astype(np.float32)
    outputs = []
    for arranged in (True, False):
        path = exported(random_network(shape), arranged=arranged)
        tensors = {name for node in onnx.load(path).graph.node for name in node.output}
        assert (FRAME_ROWS in tensors) == arranged
        whole = onnxruntime.InferenceSession(path)
        outputs += [whole.run(None, {"keypoints": windows}), list(Lifter.load(path).run(windows))]
    for readouts in outputs[1:]:
        for actual, expected in zip(readouts, outputs[0], strict=True):
            np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_on_gpu_a_row_is_the_features_alone() -> None:
    shape = SHAPES[1]
    path = exported(random_network(shape))
    keypoints = np.random.default_rng(0).normal(size=(18, 17, 6)).astype(np.float32)
    outputs = []
    for device, width in ((CPU, 4 * shape.frame_width), (Device("cuda"), shape.frame_width)):
        rows = keypoints
        for half in halves(*read_model(path), device):
            session = onnxruntime.InferenceSession(half.SerializeToString())
            rows, *rest = session.run(None, {session.get_inputs()[0].name: rows})
            assert rest or rows.shape == (18, width)
        outputs.append((rows, *rest))
    for on_cpu, on_gpu in zip(*outputs, strict=True):
        np.testing.assert_allclose(on_cpu, on_gpu, atol=1e-5)


def test_tensors_derived_from_weights_are_stored_as_float32() -> None:
    path = exported(random_network(SHAPES[1]))
    kinds = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert kinds["temporal/position_shares"] == onnx.TensorProto.FLOAT
    weights = [name for name in kinds if name.endswith(".weight/half")]
    assert weights and all(kinds[name] == onnx.TensorProto.FLOAT16 for name in weights)


def test_export_without_the_dense_readout() -> None:
    info = model_info(SHAPES[0], readouts=("centre",))
    assert not Lifter.load(exported(random_network(SHAPES[0]), info)).has_dense
