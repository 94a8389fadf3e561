"""The console script: the same results as the server, and errors in one line."""

import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import httpx
import numpy as np
import onnxruntime
import pytest

from cli_errors import assert_one_line
from model import FORMATS, read_npz, write_motion
from paths import ROOT
from service.cli import TRAINING, main
from service.wire.files import SUFFIXES
from service.wire.openapi.examples import LIFT_BODY
from service.wire.openapi.responses import LiftReply

CUDA = "CUDAExecutionProvider"


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """python -m ..., in a new process."""
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def keypoints_file(tmp_path: Path) -> Path:
    path = tmp_path / "keypoints.json"
    path.write_text(json.dumps(LIFT_BODY))
    return path


def test_version_prints_the_name() -> None:
    done = run("service.cli", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("poselift ")


def test_lift_writes_the_response_of_the_server(
    server: httpx.Client, keypoints_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "poses.json"
    assert run("service.cli", "lift", keypoints_file, "-o", output).returncode == 0
    result = json.loads(output.read_text())
    LiftReply.model_validate(result, strict=True)
    assert result == server.post("/lift", json=LIFT_BODY).json()


def test_lift_writes_every_format(keypoints_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    files = [out / f"poses{suffix}" for suffix in SUFFIXES.values()]
    for file in files:
        assert main(["lift", str(keypoints_file), "-o", str(file)]) == 0
    assert sorted(out.iterdir()) == sorted(files)
    document = json.loads((out / "poses.json").read_text())
    result = read_npz(out / "poses.npz")
    (person,) = result.people
    np.testing.assert_array_equal(person.poses.xyz, np.float32(document["poses"]))
    np.testing.assert_array_equal(person.keypoints.rows, np.float32(document["keypoints"]))
    assert person.frames.tolist() == document["frames"]
    np.testing.assert_allclose(person.times_s, person.frames / LIFT_BODY["fps"])
    assert result.model == tuple(document["model"].values())
    assert (result.video.width, result.video.height) == tuple(LIFT_BODY["image_size"])
    for format in FORMATS.keys() - {"npz"}:
        file = out / f"poses{SUFFIXES[format]}"
        written = file.read_bytes()
        write_motion(result, format, file)
        assert file.read_bytes() == written, format


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "the body is not JSON"),
        (json.dumps(LIFT_BODY | {"fps": 0}), "fps: .* greater than 0"),
        (
            json.dumps(LIFT_BODY | {"skeleton": "coco18"}),
            "unknown skeleton 'coco18'; known: .*body25",
        ),
    ],
)
def test_lift_reports_bad_keypoints_in_one_line(
    tmp_path: Path, content: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keypoints.json"
    path.write_text(content)
    assert main(["lift", str(path), "-o", str(tmp_path / "poses.json")]) == 1
    assert_one_line(capsys.readouterr().err, message)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lift", "none.json", "-o", "/tmp/a.json"], "none.json: No such file"),
        (["lift", "none.json", "-o", "/tmp/a.txt"], r"the name ends in \.json, \.npz"),
        (["lift", "none.json", "-o", "/nowhere/a.json"], "no folder /nowhere"),
        (["video", "none.mp4", "-o", "/tmp/a.npz"], "none.mp4: No such file"),
        (["video", "none.mp4"], "no output: use -o"),
        (["video", "none.mp4", "--overlay", "/tmp/a.gif"], r"the name must end in \.mp4"),
        (["video", __file__, "-o", "/tmp/a.npz"], "not a video"),
        (
            ["video", __file__, "-o", "/tmp/a.npz", "--max-people", "0"],
            "max_people must be",
        ),
        (["video", __file__, "-o", "/tmp/a.npz", "--model", "none"], "known: .*poseformer-27"),
        (["video", __file__, "-o", "/tmp/a.npz", "--detector", "none"], "unknown detector"),
    ],
)
def test_bad_arguments_are_reported_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert_one_line(capsys.readouterr().err, message)


@pytest.mark.parametrize("arguments", [[], ["dance"], ["lift", "a.json"], ["serve", "--port", "x"]])
def test_usage_error_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    assert "usage: poselift" in capsys.readouterr().err


def test_serve_on_a_taken_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
    assert_one_line(capsys.readouterr().err, f"cannot listen on 127.0.0.1:{port}: .* in use")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("POSELIFT_DEVICE", "tpu", "POSELIFT_DEVICE: "),
        ("POSELIFT_MAX_FRAMES", "many", "POSELIFT_MAX_FRAMES: .* integer"),
        ("POSELIFT_MODEL", "poser", "unknown model 'poser'; known: .*poseformer-27"),
        ("POSELIFT_DETECTOR", "eyes", "unknown detector 'eyes'; known: mediapipe"),
        ("POSELIFT_DETECTOR", f"rtmpose:{__file__}", "test_cli.py is not a usable ONNX network"),
        ("POSELIFT_DETECTOR", "rtmpose:none.onnx", "no such model file: none.onnx"),
        pytest.param(
            *("POSELIFT_DETECTOR", "mmpose", "needs .*mmpose, not installed here: `make mmpose`"),
            marks=pytest.mark.skipif(find_spec("mmpose") is not None, reason="mmpose is installed"),
        ),
        ("POSELIFT_MAX_UPLAOD_MB", "5", "no such setting; the nearest is POSELIFT_MAX_UPLOAD_MB"),
        ("POSELIFT_WEIGHTS", "/nowhere", "no such folder: /nowhere"),
        ("POSELIFT_JOBS_FOLDER", "/dev/null/jobs", "POSELIFT_JOBS_FOLDER: .*: Not a directory"),
    ],
)
def test_serve_with_a_bad_setting_does_not_start(
    variable: str,
    value: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, value)
    assert main(["serve", "--port", "0"]) == 1
    output = capsys.readouterr()
    assert_one_line(output.err, message)
    assert output.out == ""


@pytest.mark.parametrize("starter", ["service.cli serve --port 0", "uvicorn service.app:app"])
def test_server_does_not_start_on_missing_cuda(starter: str) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("CUDA is available")
    done = run(*starter.split(), POSELIFT_DEVICE="cuda")
    assert done.returncode == 1
    assert_one_line(done.stderr, "CUDA .* onnxruntime-gpu")
    assert done.stdout == ""


@pytest.mark.parametrize("command", TRAINING)
def test_training_without_torch_names_the_extra(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("model.training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main([command]) == 1
    output = capsys.readouterr().err
    assert "needs the package torch" in output
    assert "poselift[train]" in output


def test_training_commands_receive_their_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    commands = ModuleType("model.training.commands")
    monkeypatch.setattr(commands, "run", lambda *call: calls.append(call) or 3, raising=False)
    monkeypatch.setitem(sys.modules, "model.training.commands", commands)
    assert main(["train", "a.npz", "--minutes", "5"]) == 3
    assert calls == [("train", ["a.npz", "--minutes", "5"])]
