"""`poselift fit-confidence`: finds what was planted, and judges it as a slow count does."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from scipy.special import expit

from model import Lifter
from model.lifting.confidence import KIND_OF, KINDS
from model.lifting.signals import SIGNALS
from model.training.confidence.examples import Examples
from model.training.confidence.fit import fit, held_out
from model.training.confidence.judge import judge
from service.cli.commands import main
from tests.conftest import DATA

JOINTS = np.array([kind is not None for kind in KIND_OF])


def planted(rng: np.random.Generator, weights: np.ndarray, frames: int = 2000) -> Examples:
    """Errors that fall within 100 mm as a logistic model of the signals says; 4 people."""
    signals = rng.exponential(size=(frames, 17, len(SIGNALS)))
    within = rng.uniform(size=(frames, 17)) < expit(2 - signals @ weights)
    error_mm = np.where(
        within, rng.uniform(0, 100, within.shape), rng.uniform(100, 400, (frames, 17))
    )
    score = expit(-signals[..., 0])
    return Examples(signals, error_mm, score, np.arange(frames) % 4 + 100, np.full(17, 0.4))


def test_planted_weights_are_found_and_trouble_is_never_good(
    rng: np.random.Generator,
) -> None:
    weights = np.zeros(len(SIGNALS))
    weights[[0, 3, 5, 8]] = 0.8, 0.4, -0.5, -0.3
    found = fit(planted(rng, weights), 100)
    for kind in found.kinds:
        assert kind.weights[5] == 0
        np.testing.assert_allclose(np.array(kind.weights)[[0, 3, 8]], (0.8, 0.4, -0.3), atol=0.2)
        assert np.abs(np.delete(kind.weights, [0, 3, 5, 8])).max() < 0.2


def test_held_out_confidence_is_calibrated(rng: np.random.Generator) -> None:
    weights = np.zeros(len(SIGNALS))
    weights[[0, 3]] = 1.2, 0.6
    examples = planted(rng, weights)
    sure = held_out(examples, 100)
    found = judge(examples, sure, 100)
    assert found.calibration < 0.02
    assert sum(one.share for one in found.bins) == pytest.approx(1)
    assert found.auroc > found.score_auroc > 0.6
    assert found.rank < found.score_rank < -0.2
    assert list(found.people) == ["100", "101", "102", "103"]


def test_the_judges_figures_are_those_of_a_slow_count(rng: np.random.Generator) -> None:
    sure = rng.uniform(size=(40, 17)).round(1)
    error_mm = rng.uniform(0, 300, (40, 17))
    signals = np.zeros((40, 17, len(SIGNALS)))
    people = np.arange(40) % 2
    examples = Examples(signals, error_mm, sure[::-1], people, np.ones(17))
    found = judge(examples, sure, 100)
    far, near = sure[:, 1:][error_mm[:, 1:] > 150], sure[:, 1:][error_mm[:, 1:] <= 150]
    wins = (far[:, None] < near).mean() + (far[:, None] == near).mean() / 2
    assert found.auroc == pytest.approx(wins)
    knees = [joint for joint, kind in enumerate(KIND_OF) if kind == KINDS.index("knee")]
    assert found.kinds["knee"].within == pytest.approx((error_mm[:, knees] <= 100).mean())
    assert found.people["1"].confidence == pytest.approx(sure[1::2, 1:].mean())
    top = sure[:, 1:] >= 0.9
    assert found.bins[-1].error_mm == pytest.approx(error_mm[:, 1:][top].mean())


def test_the_command_gives_a_file_its_confidence(
    weights_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / weights_file.name
    for name in (weights_file.name, "manifest.json"):
        shutil.copy(weights_file.parent / name, tmp_path)
    slowed = tmp_path / "slow.npz"
    with np.load(DATA / "recordings.npz") as arrays:
        # enough frames for a clip of each person
        np.savez(slowed, **{**arrays, "fps": arrays["fps"] / 4})
    plot = tmp_path / "reliability.png"
    command = ["fit-confidence", str(model), str(slowed), "--clips", "1", "--within-mm", "80"]
    assert main([*command, "--plot", str(plot)]) == 0, capsys.readouterr().err
    assert "AUROC" in capsys.readouterr().out
    assert plot.stat().st_size > 5000

    found, shipped = Lifter.load(model), Lifter.load(weights_file)
    assert found.info.confidence_within_mm == 80
    assert shipped.info.confidence_within_mm == 100
    graphs = [onnx.load(path).graph.SerializeToString() for path in (model, weights_file)]
    assert graphs[0] == graphs[1]
    entry = json.loads((tmp_path / "manifest.json").read_text())[found.name]
    assert entry["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert entry["origin"]


def test_one_person_is_nobody_to_judge_by(
    weights_file: Path, recordings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "one.onnx"
    shutil.copy(weights_file, model)
    assert main(["fit-confidence", str(model), str(recordings_file), "--clips", "1"]) == 1
    assert "two are needed" in capsys.readouterr().err
    assert model.read_bytes() == weights_file.read_bytes()
