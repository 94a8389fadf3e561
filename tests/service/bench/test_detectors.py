"""`poselift bench --detectors`, and its measures on synthetic motion of known jitter."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dot_people import simcc_network
from model import (
    COCO17,
    H36M17,
    KeypointSequence,
    PoseSequence,
    installed_detectors,
    keypoint_jitter,
    limb_spread,
)
from paths import ONE
from service.cli import main


def walking(wobble_px: float, frames: int = 9) -> KeypointSequence:
    """A body of 50 px in straight motion; every joint alternates between left and right."""
    xy = np.zeros((frames, 17, 2), np.float32)
    xy[:, 0], xy[:, 1] = (30, 40), (0, 0)
    xy[..., 0] += 4 * np.arange(frames)[:, None] + wobble_px * (np.arange(frames) % 2)[:, None]
    return KeypointSequence(xy, np.ones((frames, 17)), (640, 480), 25.0, COCO17)


def test_keypoint_jitter_is_in_body_sizes_and_skips_gaps() -> None:
    frames = np.arange(9)
    assert keypoint_jitter(walking(0), frames) == pytest.approx(0, abs=1e-6)
    assert keypoint_jitter(walking(1), frames) == pytest.approx(2 / 50)
    split = np.where(frames < 4, frames, frames + 100)
    jump = replace(walking(0), xy=walking(0).xy + np.where(frames < 4, 0, 300)[:, None, None])
    assert keypoint_jitter(jump, split) == pytest.approx(0, abs=1e-5)
    assert np.isnan(keypoint_jitter(walking(1), 2 * frames))
    assert np.isnan(keypoint_jitter(walking(1, frames=2), frames[:2]))


def test_limb_spread_is_zero_for_a_rigid_body_and_known_for_scaling(
    rng: np.random.Generator,
) -> None:
    body = rng.normal(size=(1, 17, 3)).astype(np.float32)
    turned = np.concatenate([body, body[..., [1, 2, 0]], -body])
    assert limb_spread(PoseSequence(turned, 25.0)) == pytest.approx(0, abs=1e-6)
    scales = np.float32([0.9, 1.1, 0.9, 1.1])[:, None, None]
    assert limb_spread(PoseSequence(body * scales, 25.0, H36M17)) == pytest.approx(0.1, rel=1e-4)


def test_bench_compares_installed_and_named_detectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSELIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("service.bench.detectors.installed_detectors", lambda: ["mediapipe"])
    more = f"rtmpose:{simcc_network(tmp_path / 'dots.onnx')},boxes=whole-image"
    command = ["bench", "--detectors", str(ONE), "--detector", more, "--detector", "rtmpose:none"]
    assert main([*command, "--json", str(tmp_path / "figures.json")]) == 0
    output = capsys.readouterr()
    assert "rtmpose:none: no such model file" in output.err
    rows = [line.split(" | ") for line in output.out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["| mediapipe", f"| {more}"]
    first, second = json.loads((tmp_path / "figures.json").read_text())["detectors"]
    assert (first["people"], first["detector"]) == (1, "mediapipe")
    assert 0.5 < first["score"] <= 1 and 0 < first["jitter"] < 5 and 0 < first["limb_spread"] < 15
    assert first["frames_per_s"] > 0 and second["detector"] == more


def test_detector_without_download_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSELIFT_CACHE", str(tmp_path))
    assert [name for name in installed_detectors() if name != "mmpose"] == ["mediapipe"]


def test_missing_clip_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--detectors", "nowhere.mp4"]) == 1
    assert "nowhere.mp4" in capsys.readouterr().err
