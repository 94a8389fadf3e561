"""The training loop: learning, resuming, SIGTERM, and rejected input."""

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from model import InvalidInput, Lifter
from model.training.commands import run
from model.training.networks.checkpoints import averaged_network, grow, load_checkpoint
from model.training.networks.poseformer import NetworkShape, PoseFormer, Readouts
from model.training.recipe import Recipe, pose_loss, rate_at
from model.training.recordings import load_recordings
from model.training.simulation.windows import Simulation
from model.training.train import Trainer, train
from paths import ROOT

SHAPE = NetworkShape(
    frames=3, channels=6, joint_width=8, spatial_depth=1, temporal_depth=1, heads=2
)
CPU = Fabric(accelerator="cpu", devices=1)


def trainer(windows: int) -> Trainer:
    torch.manual_seed(0)
    return Trainer(PoseFormer(SHAPE), Recipe(windows=windows, batch=16), CPU)


def losses(run: Trainer, file: Path, steps: int) -> list[float]:
    source = run.windows_of(load_recordings([file]), Simulation())
    return [run.step(next(source)).item() for _ in range(steps)]


def test_loss_falls_during_training(recordings_file: Path) -> None:
    curve = losses(trainer(800), recordings_file, 50)
    assert np.mean(curve[-10:]) < 0.75 * np.mean(curve[:5])


def test_resumed_run_equals_uninterrupted_run(recordings_file: Path, tmp_path: Path) -> None:
    whole = losses(trainer(320), recordings_file, 12)
    first = trainer(320)
    before = losses(first, recordings_file, 5)
    first.save(tmp_path / "run.pt")
    second = trainer(320)
    second.resume(tmp_path / "run.pt")
    assert before + losses(second, recordings_file, 7) == whole
    assert not list(tmp_path.glob(".*"))


def test_sigterm_saves_and_ends_the_run(recordings_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    stopped = trainer(10_000_000)
    threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
    train(stopped, stopped.windows_of(load_recordings([recordings_file]), Simulation()), path)
    assert 0 < stopped.windows < 10_000_000
    assert load_checkpoint(path)["windows"] == stopped.windows


def test_killed_and_resumed_run_equals_uninterrupted_run(
    recordings_file: Path, tmp_path: Path
) -> None:
    small = "--frames 3 --joint-width 8 --heads 2 --spatial-depth 1 --temporal-depth 1"
    call = f"{recordings_file} --windows 640 --batch 16 --save-every-s 0 {small} -o".split()
    code = "import sys; from model.training.commands import run; run('train', sys.argv[1:])"
    whole, killed = tmp_path / "whole.pt", tmp_path / "killed.pt"
    with subprocess.Popen([sys.executable, "-c", code, *call, str(killed)]) as process:
        while not killed.exists():
            time.sleep(0.005)
        process.kill()
    assert 0 < load_checkpoint(killed)["windows"] < 640
    for path in (killed, whole):
        assert run("train", [*call, str(path)]) == 0
    expected, resumed = load_checkpoint(whole), load_checkpoint(killed)
    assert expected["windows"] == resumed["windows"] == 640
    for part in ("network", "averaged"):
        for name, weights in expected[part].items():
            torch.testing.assert_close(resumed[part][name], weights, rtol=0, atol=0)


@pytest.mark.long
def test_two_processes_train_as_one_process(recordings_file: Path, tmp_path: Path) -> None:
    small = "--frames 3 --joint-width 8 --heads 2 --spatial-depth 1 --temporal-depth 1"
    call = f"--windows 160 --batch 16 --drop-path 0 --accelerator cpu {small}".split()
    code = "import sys; from model.training.commands import run; run('train', sys.argv[1:])"
    script = tmp_path / "one.py"
    script.write_text(code)
    for processes in (1, 2):
        output = tmp_path / f"{processes}.pt"
        arguments = [str(script), str(recordings_file), "-o", str(output), *call]
        launcher = ["torch.distributed.run", "--nproc_per_node=2", "--master_port=29533"]
        start = ["-m", *launcher] if processes == 2 else []
        arguments += ["--devices", str(processes)]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
        subprocess.run(
            [sys.executable, *start, *arguments], env=environment, check=True, timeout=240
        )
    one, two = (load_checkpoint(tmp_path / f"{n}.pt") for n in (1, 2))
    assert one["windows"] == two["windows"] == 160
    # A LayerNorm removes this bias, so its gradient is rounding noise, which Adam amplifies.
    for name in one["network"].keys() - {"frame_mean.bias"}:
        weights, others = one["network"][name], two["network"][name]
        torch.testing.assert_close(weights, others, rtol=1e-4, atol=1e-5)


def test_pose_loss_matches_hand_computed_mpjpe() -> None:
    recipe = Recipe(windows=1, dense=0.0, velocity=0.0)
    targets = torch.zeros(2, 3, 17, 3)
    centre = torch.zeros(2, 1, 17, 3)
    centre[0, 0, 0] = torch.tensor([3.0, 4.0, 0.0])
    dense = torch.zeros(2, 3, 17, 3)
    dense[:, 2] = torch.tensor([0.0, 0.0, 1.0])
    readouts = Readouts(centre, dense)
    assert pose_loss(readouts, targets, recipe).item() == pytest.approx(5 / 34)
    with_dense = pose_loss(readouts, targets, replace(recipe, dense=1.0)).item()
    assert with_dense == pytest.approx(5 / 34 + 2 / 4)  # the last frame counts double
    with_velocity = pose_loss(readouts, targets, replace(recipe, velocity=0.5)).item()
    assert with_velocity == pytest.approx(5 / 34 + 0.5 * 1 / 2)


def test_learning_rate_warms_up_and_ends_at_the_final_rate() -> None:
    recipe = Recipe(windows=1, warm_up=0.1, final_rate=0.01)
    assert rate_at(0.05, 0, recipe) == pytest.approx(0.5)
    assert rate_at(0.1, 0, recipe) == pytest.approx(1.0)
    assert rate_at(0.55, 0, recipe) == pytest.approx(0.505)
    assert rate_at(1.0, 0, recipe) == pytest.approx(0.01)


def test_learning_rate_of_the_papers_recipe_falls_by_epochs() -> None:
    recipe = Recipe.paper(epoch_windows=1000)
    assert (recipe.windows, recipe.batch, recipe.learning_rate) == (130_000, 1024, 2e-4)
    assert rate_at(0.0, 999, recipe) == 1.0
    assert rate_at(0.5, 3500, recipe) == pytest.approx(0.98**3)


def test_grown_network_keeps_positions_and_weights() -> None:
    network = PoseFormer(SHAPE)
    network.start_at_centre()
    grown = grow(network, 9)
    every_third = grown.frame_positions[:, 1::3]
    torch.testing.assert_close(every_third, network.frame_positions)
    torch.testing.assert_close(grown.frame_mean.weight[:, 1::3], network.frame_mean.weight)
    assert grown.frame_mean.weight.count_nonzero() == 1
    with pytest.raises(InvalidInput, match="odd factor"):
        grow(network, 6)


def test_resume_rejects_other_networks_and_broken_files(tmp_path: Path) -> None:
    trainer(16).save(tmp_path / "run.pt")
    other = Trainer(PoseFormer(replace(SHAPE, frames=5)), Recipe(windows=16), CPU)
    with pytest.raises(InvalidInput, match="another network"):
        other.resume(tmp_path / "run.pt")
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    with pytest.raises(InvalidInput, match="not a readable checkpoint"):
        averaged_network(tmp_path / "bad.pt")


@pytest.mark.parametrize("bounds", [{}, {"windows": 1, "minutes": 1.0}])
def test_recipe_needs_exactly_one_length(bounds: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        Recipe(**bounds)


def test_train_export_evaluate_and_model_card(
    recordings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, checkpoint, model = (
        str(p) for p in (recordings_file, tmp_path / "r.pt", tmp_path / "m.onnx")
    )
    small = "--frames 3 --joint-width 8 --heads 2 --spatial-depth 1 --temporal-depth 1 --batch 16"
    logged = ["--log-dir", str(tmp_path / "log"), "--precision", "bf16-mixed"]
    assert run("train", [file, "-o", checkpoint, "--windows", "320", *small.split(), *logged]) == 0
    assert list((tmp_path / "log").rglob("events.out.tfevents.*"))
    assert run("export", [checkpoint, "-o", model, "--version", "0.1", "--validation", file]) == 0
    lifter = Lifter.load(Path(model))
    assert (lifter.name, lifter.frames, lifter.version) == ("m", 3, "0.1")
    capsys.readouterr()
    assert run("evaluate", [model, file, "--json", str(tmp_path / "e.json")]) == 0
    shown = capsys.readouterr().out
    mpjpe = lifter.info.metrics["true 2D mpjpe mm"]
    assert f"| true 2D | {mpjpe} |" in shown and "mean pose" in shown
    assert (tmp_path / "e.json").exists() and (tmp_path / "manifest.json").exists()
    runpy.run_path(str(ROOT / "benchmarks" / "model_card.py"))["main"]([model, file])
    card = capsys.readouterr().out
    for row in (
        f"true 2D, centre | {mpjpe}",
        "simulated detections, 60 fps",
        "right_wrist",
        "walk",
    ):
        assert f"| {row} |" in card


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pos": np.zeros((5, 16, 3), np.int16)}, r"\(frames, 17, 3\), got \(5, 16, 3\)"),
        ({"pos": np.zeros((5, 17, 3), np.float32)}, "pos must be int16"),
        ({"offsets": np.array([0, 3])}, "offsets do not divide"),
    ],
)
def test_invalid_recordings_raise(
    recordings_file: Path, tmp_path: Path, change: dict[str, np.ndarray], message: str
) -> None:
    with np.load(recordings_file) as file:
        data = {name: file[name] for name in file.files} | change
    np.savez(tmp_path / "wrong.npz", **data)
    with pytest.raises(InvalidInput, match=message):
        load_recordings([tmp_path / "wrong.npz"])


def test_missing_and_unreadable_recordings_raise(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "text.npz").write_text("no")
    for name, message in (
        ("other", "fields are missing"),
        ("text", "not a readable"),
        ("no", "not a"),
    ):
        with pytest.raises(InvalidInput, match=message):
            load_recordings([tmp_path / f"{name}.npz"])
