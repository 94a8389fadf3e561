"""Back from a model file to the network: what is exported again answers the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from lively import SHAPES, described, lively
from model import InvalidInput, Lifter, PoseError
from model.lifting.model_files import enter_in_manifest, read_manifest
from model.training.commands import run
from model.training.export.onnx_file import export
from model.training.export.quantise import int8_path, quantise
from model.training.networks.poseformer import NetworkShape
from model.training.networks.restore import network_of_file


@pytest.mark.parametrize(
    ("shape", "arranged", "half_storage"),
    [(SHAPES[1], a, h) for a in (True, False) for h in (True, False)] + [(SHAPES[0], True, True)],
)
@torch.inference_mode()
def test_there_and_back(
    shape: NetworkShape, arranged: bool, half_storage: bool, tmp_path: Path
) -> None:
    path = tmp_path / "lively.onnx"
    export(lively(shape), described(shape), path, arranged=arranged, half_storage=half_storage)
    restored = network_of_file(path)
    assert restored.shape == shape and not restored.training
    windows = np.random.default_rng(0).normal(size=(2, shape.frames, 17, 6)).astype(np.float32)
    centre, dense = onnxruntime.InferenceSession(path).run(None, {"keypoints": windows})
    found = restored(torch.from_numpy(windows))
    np.testing.assert_allclose(found.centre, centre, atol=1e-5)
    np.testing.assert_allclose(found.dense, dense, atol=1e-5)


def test_the_weights_that_ship(weights_file: Path) -> None:
    """`network_of_file` itself compares the network's answers with the file's."""
    assert network_of_file(weights_file).shape.frames == 27


def test_integers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lively.onnx"
    export(lively(SHAPES[1]), described(SHAPES[1]), path)
    quantise(path, int8_path(path))
    with pytest.raises(InvalidInput, match="lively-int8.onnx does not hold a network"):
        network_of_file(int8_path(path))


def test_training_begins_with_a_model_file(recordings_file: Path, tmp_path: Path) -> None:
    path, checkpoint = tmp_path / "lively.onnx", tmp_path / "run.pt"
    export(lively(SHAPES[1]), described(SHAPES[1]), path)
    options = ["--windows", "64", "--batch", "32", "--learning-rate", "0", "--frames", "9"]
    start = [str(recordings_file), "-o", str(checkpoint), "--start-from", str(path)]
    assert run("train", [*start, *options, "--accelerator", "cpu"]) == 0
    trained = torch.load(checkpoint, weights_only=True)["averaged"]
    for name, values in network_of_file(path).state_dict().items():
        torch.testing.assert_close(trained[name], values, atol=1e-6, rtol=0)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(PoseError, match=r"none.onnx: cannot be read"):
        network_of_file(tmp_path / "none.onnx")


def test_a_model_file_is_written_anew(tmp_path: Path) -> None:
    """Arranged, and with all that it said of itself but its version."""
    old, new = tmp_path / "old.onnx", tmp_path / "new.onnx"
    info = replace(described(SHAPES[1]), licence="mine alone", metrics={"mpjpe": 40.0})
    export(lively(SHAPES[1]), info, old, arranged=False)
    enter_in_manifest(old, info, "my own garden")
    assert run("export", [str(old), "-o", str(new), "--version", "1.1.0"]) == 0
    before, after = Lifter.load(old), Lifter.load(new)
    assert after.info == replace(before.info, name="new", version="1.1.0")
    assert read_manifest(tmp_path)["new"]["origin"] == "my own garden"
    windows = np.random.default_rng(0).normal(size=(2, 9, 17, 6)).astype(np.float32)
    np.testing.assert_allclose(after.run(windows).dense, before.run(windows).dense, atol=1e-5)
    assert after.encode(windows[0]).shape == (9, 4 * SHAPES[1].frame_width)
