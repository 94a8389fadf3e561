"""Networks read back from model files."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from model import InvalidInput, Lifter, PoseError
from model.lifting.model_files import enter_in_manifest, read_manifest
from model.training.commands import run
from model.training.export.int8 import quantise
from model.training.networks.poseformer import NetworkShape
from model.training.networks.stored import network_of_file
from networks import SHAPES, exported, model_info, random_network


@pytest.mark.parametrize(
    ("shape", "arranged", "half_storage"),
    [(SHAPES[1], a, h) for a in (True, False) for h in (True, False)] + [(SHAPES[0], True, True)],
)
@torch.inference_mode()
def test_network_of_file_equals_the_file(
    shape: NetworkShape, arranged: bool, half_storage: bool
) -> None:
    path = exported(random_network(shape), arranged=arranged, half_storage=half_storage)
    restored = network_of_file(path)
    assert restored.shape == shape and not restored.training
    windows = np.random.default_rng(0).normal(size=(2, shape.frames, 17, 6)).astype(np.float32)
    centre, dense = onnxruntime.InferenceSession(path).run(None, {"keypoints": windows})
    readouts = restored(torch.from_numpy(windows))
    np.testing.assert_allclose(readouts.centre, centre, atol=1e-5)
    np.testing.assert_allclose(readouts.dense, dense, atol=1e-5)


def test_network_of_shipped_weights(weights_file: Path) -> None:
    """`network_of_file` itself compares the network's outputs with the file's."""
    assert network_of_file(weights_file).shape.frames == 27


def test_int8_file_raises(tmp_path: Path) -> None:
    path = tmp_path / "tiny-int8.onnx"
    quantise(exported(random_network(SHAPES[1])), path)
    with pytest.raises(InvalidInput, match="tiny-int8.onnx does not hold a network"):
        network_of_file(path)


def test_training_starts_from_a_model_file(recordings_file: Path, tmp_path: Path) -> None:
    path, checkpoint = exported(random_network(SHAPES[1])), tmp_path / "run.pt"
    options = ["--windows", "64", "--batch", "32", "--learning-rate", "0", "--frames", "9"]
    start = [str(recordings_file), "-o", str(checkpoint), "--start-from", str(path)]
    assert run("train", [*start, *options, "--accelerator", "cpu"]) == 0
    trained = torch.load(checkpoint, weights_only=True)["averaged"]
    for name, values in network_of_file(path).state_dict().items():
        torch.testing.assert_close(trained[name], values, atol=1e-6, rtol=0)


def test_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(PoseError, match=r"none.onnx: cannot be read"):
        network_of_file(tmp_path / "none.onnx")


def test_export_converts_an_older_model_file(tmp_path: Path) -> None:
    """The result is arranged and keeps all metadata but name and version."""
    old, new = tmp_path / "old.onnx", tmp_path / "new.onnx"
    info = model_info(SHAPES[1], name="old", licence="private", metrics={"mpjpe": 40.0})
    shutil.copy(exported(random_network(SHAPES[1]), info, arranged=False), old)
    enter_in_manifest(old, info, "some data")
    assert run("export", [str(old), "-o", str(new), "--version", "1.1.0"]) == 0
    before, after = Lifter.load(old), Lifter.load(new)
    assert after.info == replace(before.info, name="new", version="1.1.0")
    assert read_manifest(tmp_path)["new"]["origin"] == "some data"
    windows = np.random.default_rng(0).normal(size=(2, 9, 17, 6)).astype(np.float32)
    np.testing.assert_allclose(after.run(windows).dense, before.run(windows).dense, atol=1e-5)
    assert after.encode(windows[0]).shape == (9, 4 * SHAPES[1].frame_width)
