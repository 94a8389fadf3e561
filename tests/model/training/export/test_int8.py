"""int8 model files: which operators are quantised, and accuracy and speed against float32."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from model import InvalidInput, Lifter, LiftOptions, ModelFileError
from model.runtime.precision import unfold_halves
from model.training import commands
from model.training.commands import export as export_command
from model.training.evaluation.errors import simulated_clips
from model.training.export.int8 import Quantised, int8_path, quantise
from model.training.networks.poseformer import PoseFormer
from model.training.recordings import load_recordings
from model.training.simulation.windows import Simulation
from networks import SMALL, exported, model_info

J = 17
SHAPE = replace(SMALL, temporal_depth=2, drop_path=0.0)
INFO = model_info(SHAPE, name="tiny")
# qkv, proj and the two of the MLP in each of two temporal blocks, except the first qkv, which is
# computed once per frame
PRODUCTS = 7


@pytest.fixture(scope="module")
def float32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of trained size, stored as float16 like the shipped files."""
    torch.manual_seed(0)
    network = PoseFormer(SHAPE)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
        elif "positions" in name:
            torch.nn.init.normal_(parameter)
    with torch.no_grad():
        network.head.weight.mul_(0.2)  # poses of a person's size
    path = tmp_path_factory.mktemp("weights") / "tiny.onnx"
    return Path(shutil.copy(exported(network, INFO), path))


@pytest.fixture(scope="module")
def int8(float32: Path) -> Path:
    target = int8_path(float32)
    quantise(float32, target)
    return target


def windows(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 9, J, 6)).astype(np.float32)


def test_metadata_state_int8_and_keep_the_rest(float32: Path, int8: Path) -> None:
    info = Lifter.load(int8).info
    assert int8.name == "tiny-int8.onnx"
    assert (info.name, info.precision, info.metrics) == ("tiny-int8", "int8", {})
    kept = ("version", "frames", "channels", "normalisation", "readouts", "height_m", "fps")
    before = Lifter.load(float32).info
    assert before.precision == "float32"
    assert all(getattr(info, field) == getattr(before, field) for field in kept)


def test_only_temporal_products_with_weights_are_quantised(int8: Path) -> None:
    model = onnx.load(int8)
    unfold_halves(model)
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    integer = [node for node in model.graph.node if node.op_type == "MatMulInteger"]
    assert len(integer) == PRODUCTS
    assert all(types[node.input[1]] == onnx.TensorProto.INT8 for node in integer)
    assert all(node.name.startswith("temporal/") for node in integer)
    products = [n for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in types]
    spatial = [node for node in products if node.name.startswith("spatial/")]
    assert len(spatial) == 1 + 4  # the embedding, and one block
    matrices = {node.input[1] for node in products if not node.name.startswith("spatial/")}
    sizes = [list(t.dims) for t in model.graph.initializer if t.name in matrices]
    assert sorted(sizes) == [[J * 8, J * 3], [J * 8, 3 * J * 8]]  # the head, the frames' shares


def test_all_temporal_products_of_a_plain_file_are_quantised(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "plain-int8.onnx"
    quantise(exported(PoseFormer(SHAPE), INFO, arranged=False), path)
    nodes = onnx.load(path).graph.node
    assert sum(node.op_type == "MatMulInteger" for node in nodes) == 8


def test_operators_are_standard(int8: Path) -> None:
    assert {opset.domain for opset in onnx.load(int8).opset_import} == {""}


def test_each_column_has_its_own_scale(int8: Path) -> None:
    """Each column of the int8 weights reaches the end of its range."""
    for tensor in onnx.load(int8).graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if tensor.data_type == onnx.TensorProto.INT8 and values.ndim == 2:
            assert (np.abs(values.astype(int)).max(axis=0) >= 127).all()


def test_int8_is_smaller_and_close_to_float32(float32: Path, int8: Path) -> None:
    """Within 5 % of the poses' spread with random weights; about 1 mm with trained ones."""
    assert int8.stat().st_size < float32.stat().st_size
    exact, quantised = (Lifter.load(path).run(windows(16)) for path in (float32, int8))
    for expected, actual in zip(exact, quantised, strict=True):
        assert expected is not None
        assert actual is not None
        spread = np.linalg.norm(expected - expected.mean(axis=(0, 1)), axis=-1).mean()
        error = np.linalg.norm(actual - expected, axis=-1).mean()
        assert 0 < error < 0.05 * spread


def test_spatial_half_is_unchanged(float32: Path, int8: Path) -> None:
    inputs = windows(2).reshape(-1, J, 6)
    before, after = (Lifter.load(path).encode(inputs) for path in (float32, int8))
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_int8_file_lifts_with_all_options(int8: Path, float32: Path, recordings_file: Path) -> None:
    lifters = [Lifter.load(path) for path in (float32, int8)]
    clip = next(simulated_clips(load_recordings([recordings_file]), Simulation()))
    for options in (LiftOptions(), LiftOptions(readout="dense", flip=True, height_m=1.8)):
        exact, quantised = (lifter.lift(clip.keypoints, options).xyz for lifter in lifters)
        assert np.linalg.norm(quantised - exact, axis=-1).mean() < 0.05


def test_speed_and_errors_are_reported(float32: Path, tmp_path: Path) -> None:
    measured: list[Path] = []

    def measure(path: Path) -> dict[str, float]:
        measured.append(path)
        assert Lifter.load(path).info.precision == "int8"
        return {"mpjpe": 61.5}

    target = tmp_path / "other-int8.onnx"
    result = quantise(float32, target, measure)
    assert len(measured) == 1
    assert result.float32_ms > 0
    assert result.int8_ms > 0
    assert Lifter.load(target).info == result.info
    assert dict(result.info.metrics) == {"mpjpe": 61.5}
    summary = Quantised(result.info, 10.0, 4.0).summary({"mpjpe": 60.0, "pck": 1.0})
    assert summary.splitlines()[0].startswith("2.5 times as fast")
    assert summary.splitlines()[1:] == ["mpjpe: 60.0 -> 61.5 (+1.5)"]


def test_no_file_is_left_after_an_error(float32: Path, tmp_path: Path) -> None:
    def broken(path: Path) -> dict[str, float]:
        raise InvalidInput("no such recordings")

    with pytest.raises(InvalidInput, match="no such recordings"):
        quantise(float32, tmp_path / "other.onnx", broken)
    assert not list(tmp_path.iterdir())


def test_int8_file_cannot_be_quantised(int8: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="already int8"):
        quantise(int8, tmp_path / "twice.onnx")


def test_file_that_is_not_onnx_raises(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelFileError, match="expected an ONNX file"):
        quantise(tmp_path / "no.onnx", tmp_path / "no-int8.onnx")


def test_export_writes_and_lists_both_files(
    tmp_path: Path,
    float32: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoint, output = tmp_path / "run.pt", tmp_path / "weights" / "tiny.onnx"
    state = PoseFormer(SHAPE).state_dict()
    torch.save({"shape": asdict(SHAPE), "averaged": state}, checkpoint)
    # the slow step, which other tests cover
    monkeypatch.setattr(export_command, "export", lambda *call, **_: shutil.copy(float32, call[2]))
    arguments = [str(checkpoint), "-o", str(output), "--version", "1.0.0", "--int8"]
    assert commands.run("export", arguments) == 0
    manifest = json.loads((output.parent / "manifest.json").read_text())
    assert {entry["file"] for entry in manifest.values()} == {"tiny.onnx", "tiny-int8.onnx"}
    for name in ("tiny", "tiny-int8"):
        assert Lifter.load(output.with_name(f"{name}.onnx")).name == name
    printed = capsys.readouterr().out
    assert "times as fast as float32" in printed
    assert "use --validation RECORDINGS" in printed
