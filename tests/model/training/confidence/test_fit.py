"""`poselift fit-confidence`: known weights are recovered; reliability figures are correct."""

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
from model.training.confidence.reliability import assess
from service.cli.commands import main
from tests.conftest import DATA

JOINTS = np.array([kind is not None for kind in KIND_OF])


def simulated(rng: np.random.Generator, weights: np.ndarray, frames: int = 2000) -> Examples:
    """Errors within 100 mm with the probability of a logistic model of the signals; 4 people."""
    signals = rng.exponential(size=(frames, 17, len(SIGNALS)))
    within = rng.uniform(size=(frames, 17)) < expit(2 - signals @ weights)
    error_mm = np.where(
        within, rng.uniform(0, 100, within.shape), rng.uniform(100, 400, (frames, 17))
    )
    score = expit(-signals[..., 0])
    return Examples(signals, error_mm, score, np.arange(frames) % 4 + 100, np.full(17, 0.4))


def test_fit_recovers_weights_and_clips_negative_ones(rng: np.random.Generator) -> None:
    weights = np.zeros(len(SIGNALS))
    weights[[0, 3, 5, 8]] = 0.8, 0.4, -0.5, -0.3
    for kind in fit(simulated(rng, weights), 100).kinds:
        assert kind.weights[5] == 0
        np.testing.assert_allclose(np.array(kind.weights)[[0, 3, 8]], (0.8, 0.4, -0.3), atol=0.2)
        assert np.abs(np.delete(kind.weights, [0, 3, 5, 8])).max() < 0.2


def test_held_out_confidence_is_calibrated(rng: np.random.Generator) -> None:
    weights = np.zeros(len(SIGNALS))
    weights[[0, 3]] = 1.2, 0.6
    examples = simulated(rng, weights)
    reliability = assess(examples, held_out(examples, 100), 100)
    assert reliability.calibration < 0.02
    assert sum(each.share for each in reliability.bins) == pytest.approx(1)
    assert reliability.auroc > reliability.score_auroc > 0.6
    assert reliability.rank < reliability.score_rank < -0.2
    assert list(reliability.people) == ["100", "101", "102", "103"]


def test_reliability_equals_a_direct_count(rng: np.random.Generator) -> None:
    confidence = rng.uniform(size=(40, 17)).round(1)
    error_mm = rng.uniform(0, 300, (40, 17))
    signals = np.zeros((40, 17, len(SIGNALS)))
    people = np.arange(40) % 2
    examples = Examples(signals, error_mm, confidence[::-1], people, np.ones(17))
    reliability = assess(examples, confidence, 100)
    values, errors = confidence[:, 1:], error_mm[:, 1:]
    far, near = values[errors > 150], values[errors <= 150]
    wins = (far[:, None] < near).mean() + (far[:, None] == near).mean() / 2
    assert reliability.auroc == pytest.approx(wins)
    knees = [joint for joint, kind in enumerate(KIND_OF) if kind == KINDS.index("knee")]
    assert reliability.kinds["knee"].within == pytest.approx((error_mm[:, knees] <= 100).mean())
    assert reliability.people["1"].confidence == pytest.approx(values[1::2].mean())
    assert reliability.bins[-1].error_mm == pytest.approx(errors[values >= 0.9].mean())


def test_command_adds_a_confidence_to_a_model_file(
    weights_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / weights_file.name
    for name in (weights_file.name, "manifest.json"):
        shutil.copy(weights_file.parent / name, tmp_path)
    slowed = tmp_path / "slow.npz"
    with np.load(DATA / "recordings.npz") as arrays:
        # slower, for enough frames for a clip of each person
        np.savez(slowed, **{**arrays, "fps": arrays["fps"] / 4})
    plot = tmp_path / "reliability.png"
    command = ["fit-confidence", str(model), str(slowed), "--clips", "1", "--within-mm", "80"]
    assert main([*command, "--plot", str(plot)]) == 0, capsys.readouterr().err
    assert "AUROC" in capsys.readouterr().out
    assert plot.stat().st_size > 5000

    fitted, shipped = Lifter.load(model), Lifter.load(weights_file)
    assert fitted.info.confidence_within_mm == 80
    assert shipped.info.confidence_within_mm == 100
    graphs = [onnx.load(path).graph.SerializeToString() for path in (model, weights_file)]
    assert graphs[0] == graphs[1]
    entry = json.loads((tmp_path / "manifest.json").read_text())[fitted.name]
    assert entry["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert entry["origin"]


def test_recordings_of_one_person_raise(
    weights_file: Path, recordings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "one.onnx"
    shutil.copy(weights_file, model)
    assert main(["fit-confidence", str(model), str(recordings_file), "--clips", "1"]) == 1
    assert "at least two people are needed" in capsys.readouterr().err
    assert model.read_bytes() == weights_file.read_bytes()
