"""Arranged for running = as it was trained: in torch, in the file, and cut on either side."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from lively import SHAPES, described, lively
from model import Lifter
from model.lifting.lifter import halves
from model.lifting.model_files import FRAME_ROWS, read_model
from model.runtime.devices import CPU, Device
from model.training.export.arranged import FrameShares, SpatialHalf, TemporalHalf
from model.training.export.onnx_file import export
from model.training.networks.poseformer import NetworkShape


@pytest.mark.parametrize("shape", SHAPES)
@torch.inference_mode()
def test_the_parts_answer_what_the_network_does(shape: NetworkShape) -> None:
    network, keypoints = lively(shape), torch.randn(3, shape.frames, 17, 6)
    rows = FrameShares(network)(SpatialHalf(network)(keypoints.flatten(0, 1)))
    assert rows.shape == (3 * shape.frames, 4 * shape.frame_width)
    expected = network(keypoints)
    centre, dense = TemporalHalf(network, dense=True)(rows)
    torch.testing.assert_close(centre, expected.centre, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(dense, expected.dense, atol=1e-5, rtol=1e-5)
    (alone,) = TemporalHalf(network, dense=False)(rows)
    torch.testing.assert_close(alone, centre)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_arranged_is_the_plain_file(shape: NetworkShape, tmp_path: Path) -> None:
    network, info = lively(shape), described(shape)
    answers, keypoints = [], np.random.default_rng(0).normal(size=(4, shape.frames, 17, 6))
    for arranged in (True, False):
        path = tmp_path / f"{arranged}.onnx"
        export(network, info, path, arranged=arranged)
        made = {name for node in onnx.load(path).graph.node for name in node.output}
        assert (FRAME_ROWS in made) == arranged
        whole = onnxruntime.InferenceSession(path)
        given = keypoints.astype(np.float32)
        answers += [whole.run(None, {"keypoints": given}), list(Lifter.load(path).run(given))]
    for answer in answers[1:]:
        for one, other in zip(answer, answers[0], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_on_a_gpu_a_row_is_the_features_alone(tmp_path: Path) -> None:
    shape, path = SHAPES[1], tmp_path / "lively.onnx"
    export(lively(shape), described(shape), path)
    keypoints = np.random.default_rng(0).normal(size=(18, 17, 6)).astype(np.float32)
    found = []
    for device, width in ((CPU, 4 * shape.frame_width), (Device("cuda"), shape.frame_width)):
        rows = keypoints
        for half in halves(*read_model(path), device):
            session = onnxruntime.InferenceSession(half.SerializeToString())
            rows, *rest = session.run(None, {session.get_inputs()[0].name: rows})
            assert rest or rows.shape == (18, width)
        found.append((rows, *rest))
    for on_cpu, on_gpu in zip(*found, strict=True):
        np.testing.assert_allclose(on_cpu, on_gpu, atol=1e-5)


def test_what_is_computed_from_weights_is_not_rounded_again(tmp_path: Path) -> None:
    path = tmp_path / "lively.onnx"
    export(lively(SHAPES[1]), described(SHAPES[1]), path)
    kinds = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert kinds["temporal/position_shares"] == onnx.TensorProto.FLOAT
    weights = [name for name in kinds if name.endswith(".weight/half")]
    assert weights and all(kinds[name] == onnx.TensorProto.FLOAT16 for name in weights)


def test_without_the_dense_readout(tmp_path: Path) -> None:
    path = tmp_path / "centre.onnx"
    export(lively(SHAPES[0]), replace(described(SHAPES[0]), readouts=("centre",)), path)
    assert not Lifter.load(path).has_dense
