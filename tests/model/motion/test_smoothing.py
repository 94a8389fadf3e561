"""Filters: against SciPy and the paper's scalar algorithm, and what each must keep."""

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
def test_any_length_keeps_its_length_and_a_still_person_stays_still(kind: str, frames: int) -> None:
    still = PoseSequence(np.repeat(noisy(1), frames, axis=0), FPS)
    smoothed = smooth(still, kind)
    assert smoothed.fps == FPS
    np.testing.assert_allclose(smoothed.xyz, still.xyz, atol=1e-6)


@pytest.mark.parametrize("kind", FILTERS)
def test_noise_shrinks(kind: str) -> None:
    poses = PoseSequence(noisy(200), FPS)
    before = np.abs(np.diff(poses.xyz, n=2, axis=0)).mean()
    after = np.abs(np.diff(smooth(poses, kind).xyz, n=2, axis=0)).mean()
    assert after < before / 2


@pytest.mark.parametrize("kind", FILTERS)
def test_joints_and_axes_do_not_mix_and_turning_the_camera_turns_the_answer(kind: str) -> None:
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


def test_butterworth_is_scipys_filter_by_its_other_form() -> None:
    poses = noisy(80)
    b, a = butter(2, atan(tan(pi * CUTOFF_HZ / FPS) / 0.802) * FPS / pi, fs=FPS)
    expected = filtfilt(b, a, poses, axis=0)
    np.testing.assert_allclose(butterworth(poses, FPS), expected, atol=1e-4)


def test_one_euro_is_the_papers_algorithm_on_one_axis() -> None:
    def alpha(cutoff: float) -> float:
        tau = 1 / (2 * pi * cutoff)
        return 1 / (1 + tau * FPS)

    xyz = np.zeros((80, 17, 3), np.float32)
    xyz[:, 5, 2] = noisy(80)[:, 0, 0]
    signal = xyz[:, 5, 2].astype(float)
    x, dx, expected = signal[0], 0.0, [signal[0]]
    for previous, value in pairwise(signal):
        dx = alpha(1.0) * (value - previous) * FPS + (1 - alpha(1.0)) * dx
        now = alpha(1.5 + 4.0 * abs(dx))
        x = now * value + (1 - now) * x
        expected.append(x)
    np.testing.assert_allclose(one_euro(xyz, FPS)[:, 5, 2], expected, atol=1e-6)


def test_slow_films_are_left_alone_where_a_filter_cannot_work() -> None:
    poses = noisy(20)
    assert butterworth(poses, 10.0) is poses


def test_an_unknown_filter_is_named_with_those_that_exist() -> None:
    with pytest.raises(UnknownName, match="butterworth, gaussian, none, one_euro"):
        smooth(PoseSequence(noisy(3), FPS), "kalman")
