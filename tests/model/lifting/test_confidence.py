"""Confidence: lower for noisy and unseen joints, and equal in the library and POST /lift."""

import json
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from scipy.special import expit

from model import H36M17, KeypointSequence, Lifter, LiftOptions, ModelFileError, VideoResult
from model.lifting.confidence import KIND_OF, KINDS, Calibration, KindOfJoint
from model.lifting.signals import OF_PATHS, SIGNALS, Evidence, signals
from tests.networks import lifter as small_lifter
from tests.synthetic import part, person

LEG = [H36M17.index(f"left_{part}") for part in ("hip", "knee", "ankle")]
ARM = [H36M17.index(f"right_{part}") for part in ("shoulder", "elbow", "wrist")]


@pytest.fixture(scope="module")
def shipped(weights_file: Path) -> Lifter:
    return Lifter.load(weights_file)


@pytest.fixture(scope="module")
def walk(real_result: VideoResult) -> KeypointSequence:
    """A detector's keypoints of a real man."""
    return real_result.people[0].keypoints


@pytest.fixture(scope="module")
def calm(shipped: Lifter, walk: KeypointSequence) -> np.ndarray:
    return confidence(shipped, walk)


def confidence(lifter: Lifter, keypoints: KeypointSequence) -> np.ndarray:
    values = lifter.confidence(keypoints, lifter.lift(keypoints))
    assert values is not None
    assert values.shape == (len(keypoints), 17)
    assert values.dtype == np.float32
    assert ((values >= 0) & (values <= 1)).all()
    assert (values[:, 0] == 1).all()
    return values


def scored(keypoints: KeypointSequence, score: float, first: int) -> KeypointSequence:
    """The keypoints with this score for a leg in 20 frames from `first`."""
    changed = keypoints.confidence.copy()
    changed[first : first + 20, LEG] = score
    return replace(keypoints, confidence=changed)


def test_noise_lowers_confidence(
    shipped: Lifter, walk: KeypointSequence, calm: np.ndarray, rng: np.random.Generator
) -> None:
    noise = rng.normal(size=walk.xy.shape).astype(np.float32)
    height_px = np.median(np.ptp(walk.xy, axis=1)[:, 1])
    means = [calm.mean()]
    for share in (0.01, 0.02, 0.04):
        noisy = replace(walk, xy=walk.xy + noise * np.float32(share * height_px))
        means.append(confidence(shipped, noisy).mean())
    assert np.diff(means).max() < -0.01


@pytest.mark.parametrize("score", [0.0, 0.1])
def test_unseen_limb_has_lower_confidence(
    shipped: Lifter, walk: KeypointSequence, calm: np.ndarray, score: float
) -> None:
    fall = (calm - confidence(shipped, scored(walk, score, 20)))[22:38]
    assert fall[:, LEG[1:]].mean() > 0.1
    assert fall[:, LEG[1:]].mean() > 2 * abs(fall[:, ARM[1:]].mean())


def test_confidence_does_not_depend_on_distant_frames(
    shipped: Lifter, walk: KeypointSequence, calm: np.ndarray
) -> None:
    changed = confidence(shipped, scored(walk, 0.0, 40))
    np.testing.assert_array_equal(changed[:5], calm[:5])


def test_height_does_not_change_confidence(
    shipped: Lifter, walk: KeypointSequence, calm: np.ndarray
) -> None:
    tall = LiftOptions(height_m=2.0)
    values = shipped.confidence(walk, shipped.lift(walk, tall), tall)
    np.testing.assert_allclose(values, calm, atol=1.1e-3)


def test_confidence_of_few_frames_and_of_unseen_people(
    shipped: Lifter, walk: KeypointSequence
) -> None:
    single = confidence(shipped, part(walk, slice(40, 41)))
    assert 0.3 < single[:, 1:].mean() < 1
    unseen = replace(walk, confidence=np.zeros_like(walk.confidence))
    assert confidence(shipped, unseen)[:, 1:].mean() < single[:, 1:].mean() - 0.2
    for frames in (1, 2, 4, 5, 30):
        confidence(shipped, person(frames))


def test_model_without_calibration_has_no_confidence(walk: KeypointSequence) -> None:
    lifter = small_lifter(3)
    assert lifter.info.confidence_within_mm is None
    assert lifter.confidence(walk, lifter.lift(walk)) is None


def test_post_lift_returns_the_confidence_of_the_library(
    server: httpx.Client, walk: KeypointSequence, calm: np.ndarray
) -> None:
    body = {
        "keypoints": walk.rows.tolist(),
        "skeleton": "h36m17",
        "image_size": list(walk.image_size),
        "fps": walk.fps,
        "smoothing": "gaussian",
    }
    response = server.post("/lift", json=body).json()
    np.testing.assert_array_equal(np.float32(response["confidence"]), calm)
    assert response["applied"]["confidence_within_mm"] == 100
    streamed = server.post("/lift", json={**body, "smoothing": "none", "stream": "walk"}).json()
    assert streamed["confidence"] is None
    assert streamed["applied"]["confidence_within_mm"] is None
    server.delete("/streams/walk")


def calibration(weights: np.ndarray, intercept: float = 2.0) -> Calibration:
    """weights (10, S)."""
    kinds = [
        KindOfJoint(0.4, intercept, tuple(row), (0.5,) * len(SIGNALS)) for row in weights.tolist()
    ]
    return Calibration(100.0, tuple(kinds))


def test_confidence_is_the_logistic_model_of_the_signals(rng: np.random.Generator) -> None:
    weights = rng.uniform(size=(len(KINDS), len(SIGNALS)))
    keypoints, xyz = person(30), rng.normal(size=(30, 17, 3)).astype(np.float32)
    evidence = Evidence(keypoints, xyz, np.full(17, 0.4), 1920.0)
    confidence = calibration(weights).confidence(evidence)
    values = np.stack(list(signals(evidence).values()), axis=-1)
    for joint, kind in enumerate(KIND_OF):
        expected = 1.0 if kind is None else expit(2.0 - values[:, joint] @ weights[kind])
        np.testing.assert_allclose(confidence[:, joint], expected, atol=5.1e-4)


def test_signals_are_finite_and_not_negative(rng: np.random.Generator) -> None:
    for frames in (1, 5, 40):
        xyz = rng.normal(size=(frames, 17, 3)).astype(np.float32)
        for values in signals(Evidence(person(frames), xyz, np.full(17, 0.4), 500.0)).values():
            assert values.shape == (frames, 17)
            assert np.isfinite(values).all()
            assert (values >= 0).all()


def test_exact_projection_of_a_pose_has_no_reprojection_signal(recorded) -> None:
    xyz, size = recorded.poses.xyz[:40], np.array((1920, 1080))
    placed = xyz + (0.7, -0.3, 5.0)
    xy = np.float32(placed[..., :2] / placed[..., 2:] * 1500 + size / 2)
    keypoints = KeypointSequence(xy, np.ones(xy.shape[:2]), (1920, 1080), 50, H36M17)
    bones_m = np.linalg.norm(xyz - xyz[:, np.maximum(H36M17.parents, 0)], axis=-1).mean(axis=0)
    values = signals(Evidence(keypoints, xyz, np.maximum(bones_m, 1e-3), 1500.0))
    assert values["reprojection"].max() < 1e-3
    assert values["short"].max() < 0.05
    assert values["unseen"].max() == values["unsure body"].max() == 0
    shifted = replace(keypoints, xy=xy + np.eye(17, dtype=np.float32)[:, [3]] * 100)
    worst = signals(Evidence(shifted, xyz, np.maximum(bones_m, 1e-3), 1500.0))["reprojection"]
    assert (worst.argmax(axis=1) == 3).all()


def test_signals_of_paths_are_typical_in_short_sequences() -> None:
    weights = np.zeros((len(KINDS), len(SIGNALS)))
    weights[:, list(SIGNALS).index(OF_PATHS[0])] = 3
    xyz = np.zeros((2, 17, 3), np.float32)
    confidence = calibration(weights).confidence(Evidence(person(2), xyz, np.ones(17), 500.0))
    np.testing.assert_allclose(confidence[:, 1:], expit(2 - 3 * 0.5), atol=5.1e-4)


def test_calibration_round_trips_and_bad_ones_are_rejected(
    weights_file: Path, tmp_path: Path
) -> None:
    stored = Lifter.load(weights_file).info.confidence
    assert stored is not None
    assert Calibration.from_json(stored.to_json()) == stored
    document = json.loads(stored.to_json())
    document["signals"].pop()
    for text, message in ((json.dumps(document), "run fit-confidence again"), ("{", "unreadable")):
        model = onnx.load(weights_file)
        entry = next(entry for entry in model.metadata_props if entry.key == "confidence")
        entry.value = text
        path = tmp_path / "other.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(ModelFileError, match=message):
            Lifter.load(path)
