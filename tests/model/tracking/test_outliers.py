"""Hampel's test against its definition, and cases without outliers."""

import numpy as np

from model import H36M17, KeypointSequence, VideoResult
from model.tracking.outliers import FLOOR, hampel, without_outliers


def test_hampel_equals_its_definition(rng: np.random.Generator) -> None:
    points = np.cumsum(rng.normal(0, 1, (60, 2)), axis=0).astype(np.float32)
    points[[20, 41, 42]] += 30
    path, away = hampel(points, 4, 2.0)
    padded = np.pad(points, ((4, 4), (0, 0)), mode="edge")
    expected = np.array([np.median(padded[t : t + 9], axis=0) for t in range(60)])
    np.testing.assert_allclose(path, expected)
    off = np.linalg.norm(points - expected, axis=-1)
    spread = [np.median(np.pad(off, 4, mode="edge")[t : t + 9]) for t in range(60)]
    np.testing.assert_array_equal(away, off > np.maximum(3 * 1.4826 * np.array(spread), 2.0))
    assert away[[20, 41, 42]].all()


def test_spike_is_replaced_and_other_keypoints_are_unchanged(real_result: VideoResult) -> None:
    keypoints = real_result.people[1].keypoints
    clean, _ = without_outliers(keypoints)
    clean, _ = without_outliers(clean)
    _, left = without_outliers(clean)
    spiked = clean.xy.copy()
    spiked[30, 16] += 60
    cleaned, outliers = without_outliers(
        KeypointSequence(spiked, clean.confidence, clean.image_size, clean.fps, H36M17)
    )
    assert outliers[30, 16] and (outliers & ~left).sum() == 1
    height = np.ptp(clean.xy[30], axis=0).max()
    assert np.linalg.norm(cleaned.xy[30, 16] - clean.xy[30, 16]) < 3 * FLOOR * height


def test_unseen_joints_and_short_sequences_are_unchanged(real_result: VideoResult) -> None:
    keypoints = real_result.people[0].keypoints
    hidden = KeypointSequence(
        keypoints.xy, np.zeros_like(keypoints.confidence), (854, 480), 30, H36M17
    )
    assert not without_outliers(hidden)[1].any()
    few = keypoints.pick(np.arange(3))
    np.testing.assert_array_equal(without_outliers(few)[0].rows, few.rows)
