"""The commands and the code of docs/training.md run, on little data."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from model import Lifter
from model.training.commands import run
from model.training.datasets.motion import Motion
from model.training.networks.checkpoints import averaged_network
from paths import DATA, ROOT

PAGE = ROOT / "docs" / "training.md"
SMALL = "--windows 64 --batch 32 --joint-width 8 --spatial-depth 1 --temporal-depth 1 --heads 2"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def motion(recordings_file: Path) -> Motion:
    """More than two seconds of a recorded person, forwards and backwards."""
    file = np.load(recordings_file)
    joints = file["pos"][: file["offsets"][1]] * float(file["scale"])
    return Motion("source", "anna", np.concatenate([joints, joints[::-1]])[:110], fps=50.0)


def _section(title: str) -> str:
    return re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[_titles().index(title) + 1]


def _titles() -> list[str]:
    return re.findall(r"^## (.*)$", PAGE.read_text(), flags=re.MULTILINE)


def _blocks(title: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", _section(title), flags=re.DOTALL)


def _commands(title: str) -> list[list[str]]:
    """The arguments of each poselift command of a section, with a small network for training."""
    blocks = [block.replace("\\\n", " ") for block in _blocks(title, "sh")]
    lines = [line for block in blocks for line in block.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("poselift ")]
    for command in commands:
        if command[0] == "train":
            at = command.index("--minutes" if "--minutes" in command else "--preset")
            command[at : at + 2] = shlex.split(SMALL)
            command[command.index("--frames") + 1] = "3"
    return commands


def test_train_on_your_own_data(folder: Path, motion: Motion, weights_file: Path) -> None:
    x, y, z = np.moveaxis(motion.at(120.0), -1, 0)
    for name in ("anna_01", "ben_01", "cleo_01"):
        np.save(folder / f"{name}.npy", np.stack([x, -z, y], axis=-1) * 1000)  # mm, Z up

    (code,) = _blocks("Train on your own data", "python")
    exec(compile(code, str(PAGE), "exec"), {})
    commands = _commands("Train on your own data")
    assert [command[0] for command in commands] == ["train", "train", "export", "evaluate"]
    tuning = commands[1]  # starts from the shipped weights, unlike the first
    for option, value in (("-o", "tuned.pt"), ("--start-from", weights_file), ("--frames", 27)):
        tuning[tuning.index(option) + 1] = str(value)
    for command in commands:
        assert run(command[0], command[1:]) == 0

    stored = np.load("mine.npz")
    np.testing.assert_allclose(stored["pos"][0] * stored["scale"], motion.joints[0], atol=2e-4)
    assert Lifter.load(folder / "weights" / "mine.onnx").frames == 3
    assert averaged_network(folder / "tuned.pt").shape.frames == 27


def test_rebuild_from_cmus_originals(
    folder: Path, capsys: pytest.CaptureFixture[str], motion: Motion
) -> None:
    originals = DATA / "cmu"
    (folder / "cmu").mkdir()
    held_out = 0
    (command,) = _commands("Rebuild from CMU's originals")
    people = command[command.index("--split") + 1 :]
    for subject in ["cmu02", *people]:
        number = subject.removeprefix("cmu")
        held_out += subject != "cmu02"
        for suffix in ("asf", "amc"):
            name = f"{number}.asf" if suffix == "asf" else f"{number}_01.amc"
            source = originals / ("02.asf" if suffix == "asf" else "02_01.amc")
            (folder / "cmu" / name).write_bytes(source.read_bytes())
    (folder / "cmu-index.txt").write_text("02_01\twalk\n")
    assert run(command[0], command[1:]) == 0
    assert f"cmu_val.npz: {held_out} sequences" in capsys.readouterr().out
    assert np.load("cmu.npz")["action"].tolist() == ["walk"]


def test_human36m(folder: Path, motion: Motion) -> None:
    x, y, z = np.moveaxis(motion.joints[:40] - motion.joints[:1, :1] * [1, 0, 1], -1, 0)
    joints = np.zeros((40, 32, 3), np.float32)
    used = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    joints[:, used] = np.stack([x, -z, y], axis=-1)
    subjects = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
    np.savez("data_3d_h36m.npz", positions_3d={subject: {"Eating": joints} for subject in subjects})
    pixels = np.full((40, 17, 2), 500.0) + np.arange(17)[:, None]
    np.savez(
        "data_2d_h36m_cpn_ft_h36m_dbb.npz",
        positions_2d={subject: {"Eating": [pixels] * 4} for subject in subjects},
    )
    for command in _commands("Human3.6M and MPI-INF-3DHP"):
        assert run(command[0], command[1:]) == 0
    assert Lifter.load(folder / "weights" / "h36m-9.onnx").info.normalisation == "image"
    assert set(np.load("h36m_val.npz")["subject"].tolist()) == {"S9", "S11"}

    (code,) = _blocks("Human3.6M and MPI-INF-3DHP", "python")
    names: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    inputs, targets = names["batch"]  # type: ignore[misc]
    assert inputs.shape == (64, 27, 17, 6)
    assert targets.shape == (64, 27, 17, 3)
    assert torch.isfinite(inputs).all()
