"""The metrics: cases computed by hand, SciPy as oracle, and invariances."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import minimize_scalar
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.transform import Rotation

from model.motion import metrics

J = 17
SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=15)


def poses(seed: int, frames: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Predictions some 10 cm off, and true poses of a person's size."""
    generator = np.random.default_rng(seed)
    true = generator.normal(scale=0.4, size=(frames, J, 3))
    return true + generator.normal(scale=0.1, size=true.shape), true


def rotations(seed: int, frames: int) -> np.ndarray:
    return Rotation.random(frames, random_state=seed).as_matrix()


def best_similarity(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """One frame (J, 3) by SciPy: the rotation of its orthogonal Procrustes or, if that is a
    reflection, of its solver of Wahba's problem."""
    x, y = predicted - predicted.mean(axis=0), true - true.mean(axis=0)
    rotation, _ = orthogonal_procrustes(x, y)
    if np.linalg.det(rotation) < 0:
        rotation = Rotation.align_vectors(y, x)[0].as_matrix().T
    turned = x @ rotation
    return (turned * y).sum() / (turned**2).sum() * turned + true.mean(axis=0)


# one joint 3-4-0 cm off, the other exact
PREDICTED = np.array([[[0.03, 0.04, 0.0], [0.0, 1.0, 0.0]]])
TRUE = np.array([[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])


def test_mpjpe_by_hand() -> None:
    np.testing.assert_allclose(metrics.joint_errors(PREDICTED, TRUE), [[50.0, 0.0]])
    assert metrics.mpjpe(PREDICTED, TRUE) == pytest.approx(25.0)


def test_n_mpjpe_by_hand() -> None:
    """A scale of 2 is no error; in the second case the best scale is (1*1 + 1*0) / (1 + 1)."""
    assert metrics.n_mpjpe(2 * TRUE, TRUE) == pytest.approx(0.0)
    predicted = np.array([[[1.0, 0, 0], [0, 1.0, 0]]])
    true = np.array([[[1.0, 0, 0], [0, 0, 0]]])
    assert metrics.n_mpjpe(predicted, true) == pytest.approx(500.0)


def test_mpjve_by_hand() -> None:
    """Two joints rest; one is predicted to move 1 cm a frame, 500 mm/s at 50 frames/s. A constant
    error does not count."""
    true = np.zeros((4, 2, 3))
    predicted = np.zeros((4, 2, 3)) + 0.3
    predicted[:, 0, 2] += 0.01 * np.arange(4)
    assert metrics.mpjve(predicted, true, 50.0) == pytest.approx(250.0)


def test_pck_and_auc_by_hand() -> None:
    """Errors of 0, 12, 150 and 151 mm: three are within 150 mm. Of the 31 thresholds 0, 5, .. 150
    mm, the first is within all 31, the second within 28 (from 15 mm), the third within the last."""
    true = np.zeros((2, 2, 3))
    predicted = np.zeros((2, 2, 3))
    predicted.reshape(-1, 3)[:, 0] = [0.0, 0.012, 0.15, 0.151]
    assert metrics.pck(predicted, true) == pytest.approx(75.0)
    assert metrics.pck(predicted, true, threshold_mm=12.5) == pytest.approx(50.0)
    assert metrics.auc(predicted, true) == pytest.approx(100 * (31 + 28 + 1) / (31 * 4))


def test_p_mpjpe_by_hand() -> None:
    """Points rotated by 90 degrees, scaled by 2 and shifted are aligned exactly."""
    true = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]]])
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    predicted = 2 * true @ quarter.T + [5.0, -1.0, 2.0]
    assert metrics.p_mpjpe(predicted, true) == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(metrics.procrustes(predicted, true), true, atol=1e-12)


@FEW
@given(seed=SEEDS)
def test_procrustes_matches_scipy(seed: int) -> None:
    predicted, true = poses(seed)
    expected = np.stack([best_similarity(p, t) for p, t in zip(predicted, true, strict=True)])
    np.testing.assert_allclose(metrics.procrustes(predicted, true), expected, atol=1e-9)
    distance = np.linalg.norm(expected - true, axis=-1).mean() * 1000
    assert metrics.p_mpjpe(predicted, true) == pytest.approx(distance)


@FEW
@given(seed=SEEDS)
def test_procrustes_residual_matches_scipys_disparity(seed: int) -> None:
    """scipy.spatial.procrustes returns the squared residual of shapes of unit size. It allows
    reflections, which never fit better for poses this close to the truth."""
    predicted, true = poses(seed, frames=1)
    _, _, disparity = scipy_procrustes(true[0], predicted[0])
    residual = ((metrics.procrustes(predicted, true) - true) ** 2).sum()
    size = ((true - true.mean(axis=-2, keepdims=True)) ** 2).sum()
    assert residual / size == pytest.approx(disparity)


@FEW
@given(seed=SEEDS)
def test_procrustes_never_mirrors(seed: int) -> None:
    """A mirrored pose keeps the least error that a proper rotation can reach."""
    _, true = poses(seed)
    mirrored = true * [-1.0, 1.0, 1.0]
    expected = np.stack([best_similarity(p, t) for p, t in zip(mirrored, true, strict=True)])
    np.testing.assert_allclose(metrics.procrustes(mirrored, true), expected, atol=1e-6)
    assert metrics.p_mpjpe(mirrored, true) > 50
    with_mirror, _ = orthogonal_procrustes(mirrored[0], true[0])
    np.testing.assert_allclose(mirrored[0] @ with_mirror, true[0], atol=1e-9)


@FEW
@given(seed=SEEDS)
def test_n_mpjpe_uses_the_best_scale(seed: int) -> None:
    predicted, true = poses(seed, frames=1)
    best = minimize_scalar(lambda s: ((s * predicted - true) ** 2).sum(), bracket=(0.5, 2)).x
    assert metrics.n_mpjpe(predicted, true) == pytest.approx(
        metrics.mpjpe(best * predicted, true), rel=1e-6
    )


@FEW
@given(seed=SEEDS, scale=st.floats(0.1, 10))
def test_metrics_ignore_the_transforms_they_align(seed: int, scale: float) -> None:
    predicted, true = poses(seed)
    rotation = rotations(seed, len(true))
    shift = np.random.default_rng(seed).normal(size=(len(true), 1, 3))
    transformed = scale * predicted @ rotation + shift
    assert metrics.p_mpjpe(transformed, true) == pytest.approx(metrics.p_mpjpe(predicted, true))
    assert metrics.n_mpjpe(scale * predicted, true) == pytest.approx(
        metrics.n_mpjpe(predicted, true)
    )
    assert metrics.mpjpe(predicted @ rotation + shift, true @ rotation + shift) == pytest.approx(
        metrics.mpjpe(predicted, true)
    )
    assert metrics.mpjve(predicted + shift[:1], true, 50.0) == pytest.approx(
        metrics.mpjve(predicted, true, 50.0)
    )


@FEW
@given(seed=SEEDS)
def test_each_protocol_reduces_the_squared_error(seed: int) -> None:
    """Each protocol's alignment includes the one before it."""
    predicted, true = poses(seed)

    def squared(aligned: np.ndarray) -> np.ndarray:
        return ((aligned - true) ** 2).sum(axis=(-2, -1))

    scale = (predicted * true).sum(axis=(-2, -1)) / (predicted**2).sum(axis=(-2, -1))
    scaled = squared(predicted * scale[:, None, None])
    assert (squared(metrics.procrustes(predicted, true)) <= scaled + 1e-12).all()
    assert (scaled <= squared(predicted) + 1e-12).all()


@FEW
@given(seed=SEEDS)
def test_frames_are_aligned_separately(seed: int) -> None:
    predicted, true = poses(seed, frames=4)
    alone = [metrics.p_mpjpe(predicted[i], true[i]) for i in range(4)]
    assert metrics.p_mpjpe(predicted, true) == pytest.approx(np.mean(alone))
    in_two = metrics.p_mpjpe(predicted.reshape(2, 2, J, 3), true.reshape(2, 2, J, 3))
    assert in_two == pytest.approx(np.mean(alone))


def test_exact_prediction_has_no_error() -> None:
    _, true = poses(0)
    for metric in (metrics.mpjpe, metrics.n_mpjpe, metrics.p_mpjpe):
        assert metric(true, true) == pytest.approx(0.0, abs=1e-9)
    assert metrics.mpjve(true, true, 50.0) == 0
    assert metrics.pck(true, true) == metrics.auc(true, true) == 100


@pytest.mark.parametrize("metric", [metrics.mpjpe, metrics.n_mpjpe, metrics.p_mpjpe])
def test_collapsed_pose_gives_a_finite_error(
    metric: Callable[[np.ndarray, np.ndarray], float],
) -> None:
    """All joints in one place, as an untrained network may predict."""
    _, true = poses(0)
    assert 100 < metric(np.zeros_like(true), true) < 2000


def test_flat_pose_is_aligned() -> None:
    """All joints in one plane, where a reflection equals a rotation."""
    predicted, true = poses(0)
    flat = true * [1.0, 1.0, 0.0]
    turned = flat @ rotations(0, len(flat))
    assert metrics.p_mpjpe(turned, flat) == pytest.approx(0.0, abs=1e-6)
    assert np.isfinite(metrics.p_mpjpe(predicted, flat))


def test_float32_is_accurate_and_inputs_are_unchanged() -> None:
    predicted, true = (part.astype(np.float32) for part in poses(0, frames=50))
    before = predicted.copy()
    for metric in (metrics.mpjpe, metrics.n_mpjpe, metrics.p_mpjpe, metrics.pck, metrics.auc):
        exact = metric(predicted.astype(np.float64), true.astype(np.float64))
        assert metric(predicted, true) == pytest.approx(exact, rel=1e-4)
    np.testing.assert_array_equal(predicted, before)
