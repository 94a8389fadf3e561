"""Filters: SciPy and the paper's scalar algorithm as oracles, and invariances."""

from collections.abc import Callable
from itertools import pairwise
from math import atan, pi, tan

import numpy as np
import pytest
from scipy.signal import butter, filtfilt

from model.errors import UnknownName
from model.keypoints.sequences import Float32, PoseSequence
from model.motion.smoothing import CUTOFF_HZ, SMOOTHINGS, butterworth, gaussian, one_euro, smooth

FPS = 50.0
FILTERS = [kind for kind in SMOOTHINGS if kind != "none"]


def noisy(frames: int, seed: int = 0) -> Float32:
    rng = np.random.default_rng(seed)
    drift = np.cumsum(rng.normal(0, 0.01, (frames, 17, 3)), axis=0)
    return (drift + rng.normal(0, 0.01, drift.shape)).astype(np.float32)


def wave(hz: float) -> Float32:
    xyz = np.zeros((400, 17, 3), np.float32)
    xyz[:, 3, 1] = np.sin(2 * pi * hz * np.arange(400) / FPS)
    return xyz


def amplitude(xyz: Float32) -> float:
    return float(np.abs(xyz[100:300, 3, 1]).max())


@pytest.mark.parametrize("kind", SMOOTHINGS)
@pytest.mark.parametrize("frames", [1, 2, 3, 10, 100])
def test_filters_keep_the_length_and_still_poses(kind: str, frames: int) -> None:
    still = PoseSequence(np.repeat(noisy(1), frames, axis=0), FPS)
    smoothed = smooth(still, kind)
    assert smoothed.fps == FPS
    np.testing.assert_allclose(smoothed.xyz, still.xyz, atol=1e-6)


@pytest.mark.parametrize("kind", FILTERS)
def test_filters_reduce_noise(kind: str) -> None:
    poses = PoseSequence(noisy(200), FPS)
    before = np.abs(np.diff(poses.xyz, n=2, axis=0)).mean()
    after = np.abs(np.diff(smooth(poses, kind).xyz, n=2, axis=0)).mean()
    assert after < before / 2


@pytest.mark.parametrize("kind", FILTERS)
def test_filters_are_equivariant_to_rotation_and_joint_order(kind: str) -> None:
    poses = noisy(60)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0].astype(np.float32)
    whole = smooth(PoseSequence(poses, FPS), kind).xyz
    turned = smooth(PoseSequence(poses @ turn, FPS), kind).xyz
    np.testing.assert_allclose(turned, whole @ turn, atol=1e-5)
    reordered = smooth(PoseSequence(poses[:, ::-1], FPS), kind).xyz
    np.testing.assert_allclose(reordered[:, ::-1], whole, atol=1e-6)


@pytest.mark.parametrize("filtered", [butterworth, gaussian])
def test_offline_filters_have_zero_phase_and_pass_71_percent_at_the_cutoff(
    filtered: Callable[[Float32, float], Float32],
) -> None:
    assert amplitude(filtered(wave(CUTOFF_HZ), FPS)) == pytest.approx(0.5**0.5, abs=0.005)
    poses = noisy(100)
    np.testing.assert_allclose(filtered(poses[::-1], FPS)[::-1], filtered(poses, FPS), atol=5e-3)


def test_butterworth_matches_scipys_transfer_function_form() -> None:
    poses = noisy(80)
    b, a = butter(2, atan(tan(pi * CUTOFF_HZ / FPS) / 0.802) * FPS / pi, fs=FPS)
    expected = filtfilt(b, a, poses, axis=0)
    np.testing.assert_allclose(butterworth(poses, FPS), expected, atol=1e-4)


def test_one_euro_matches_the_papers_algorithm_on_one_axis() -> None:
    def alpha(cutoff: float) -> float:
        tau = 1 / (2 * pi * cutoff)
        return 1 / (1 + tau * FPS)

    xyz = np.zeros((80, 17, 3), np.float32)
    xyz[:, 5, 2] = noisy(80)[:, 0, 0]
    signal = xyz[:, 5, 2].astype(float)
    x, dx, expected = signal[0], 0.0, [signal[0]]
    for previous, value in pairwise(signal):
        dx = alpha(1.0) * (value - previous) * FPS + (1 - alpha(1.0)) * dx
        weight = alpha(1.5 + 4.0 * abs(dx))
        x = weight * value + (1 - weight) * x
        expected.append(x)
    np.testing.assert_allclose(one_euro(xyz, FPS)[:, 5, 2], expected, atol=1e-6)


def test_butterworth_returns_its_input_below_twice_the_cutoff() -> None:
    poses = noisy(20)
    assert butterworth(poses, 10.0) is poses


def test_unknown_filter_error_lists_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="butterworth, gaussian, none, one_euro"):
        smooth(PoseSequence(noisy(3), FPS), "kalman")
