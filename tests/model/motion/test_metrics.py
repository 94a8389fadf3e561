"""The metrics against hand-worked cases, SciPy's Procrustes and the invariances they promise."""

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
    """True poses of a person's size, and predictions some 10 cm off."""
    generator = np.random.default_rng(seed)
    true = generator.normal(scale=0.4, size=(frames, J, 3))
    return true + generator.normal(scale=0.1, size=true.shape), true


def rotations(seed: int, frames: int) -> np.ndarray:
    return Rotation.random(frames, random_state=seed).as_matrix()


def best_similarity(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """One frame (J, 3) by SciPy alone: its orthogonal Procrustes gives the rotation, or, where that
    mirrors, its solver of Wahba's problem."""
    x, y = predicted - predicted.mean(axis=0), true - true.mean(axis=0)
    turn, _ = orthogonal_procrustes(x, y)
    if np.linalg.det(turn) < 0:
        turn = Rotation.align_vectors(y, x)[0].as_matrix().T
    turned = x @ turn
    return (turned * y).sum() / (turned**2).sum() * turned + true.mean(axis=0)


# one joint 3-4-0 cm off, the other exact
PREDICTED = np.array([[[0.03, 0.04, 0.0], [0.0, 1.0, 0.0]]])
TRUE = np.array([[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])


def test_mpjpe_by_hand() -> None:
    np.testing.assert_allclose(metrics.joint_errors(PREDICTED, TRUE), [[50.0, 0.0]])
    assert metrics.mpjpe(PREDICTED, TRUE) == pytest.approx(25.0)


def test_n_mpjpe_by_hand() -> None:
    """Twice too large is no error at all; else the least-squares scale: (1*1 + 1*0) / (1 + 1)."""
    assert metrics.n_mpjpe(2 * TRUE, TRUE) == pytest.approx(0.0)
    predicted = np.array([[[1.0, 0, 0], [0, 1.0, 0]]])
    true = np.array([[[1.0, 0, 0], [0, 0, 0]]])
    assert metrics.n_mpjpe(predicted, true) == pytest.approx(500.0)


def test_mpjve_by_hand() -> None:
    """A joint that moves 1 cm a frame where the truth rests, beside one that rests: at 50 frames a
    second 500 mm/s and 0. A constant error costs nothing."""
    true = np.zeros((4, 2, 3))
    predicted = np.zeros((4, 2, 3)) + 0.3
    predicted[:, 0, 2] += 0.01 * np.arange(4)
    assert metrics.mpjve(predicted, true, 50.0) == pytest.approx(250.0)


def test_pck_and_auc_by_hand() -> None:
    """Joints off by 0, 12, 150 and 151 mm: within 150 mm lie three. Over the 31 thresholds 0, 5, ..
    150 mm, the first is within at 31, the second from 15 mm on at 28, the third at the last one."""
    true = np.zeros((2, 2, 3))
    predicted = np.zeros((2, 2, 3))
    predicted.reshape(-1, 3)[:, 0] = [0.0, 0.012, 0.15, 0.151]
    assert metrics.pck(predicted, true) == pytest.approx(75.0)
    assert metrics.pck(predicted, true, threshold_mm=12.5) == pytest.approx(50.0)
    assert metrics.auc(predicted, true) == pytest.approx(100 * (31 + 28 + 1) / (31 * 4))


def test_p_mpjpe_by_hand() -> None:
    """A triangle turned by a quarter, doubled and shifted is found again exactly."""
    true = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]]])
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    predicted = 2 * true @ quarter.T + [5.0, -1.0, 2.0]
    assert metrics.p_mpjpe(predicted, true) == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(metrics.procrustes(predicted, true), true, atol=1e-12)


@FEW
@given(seed=SEEDS)
def test_procrustes_is_scipys(seed: int) -> None:
    predicted, true = poses(seed)
    expected = np.stack([best_similarity(p, t) for p, t in zip(predicted, true, strict=True)])
    np.testing.assert_allclose(metrics.procrustes(predicted, true), expected, atol=1e-9)
    distance = np.linalg.norm(expected - true, axis=-1).mean() * 1000
    assert metrics.p_mpjpe(predicted, true) == pytest.approx(distance)


@FEW
@given(seed=SEEDS)
def test_procrustes_leaves_scipys_disparity(seed: int) -> None:
    """scipy.spatial.procrustes, another implementation, tells the squared rest of the shape of unit
    size; it may mirror, which poses this close to the truth do not ask for."""
    predicted, true = poses(seed, frames=1)
    _, _, disparity = scipy_procrustes(true[0], predicted[0])
    rest = ((metrics.procrustes(predicted, true) - true) ** 2).sum()
    size = ((true - true.mean(axis=-2, keepdims=True)) ** 2).sum()
    assert rest / size == pytest.approx(disparity)


@FEW
@given(seed=SEEDS)
def test_procrustes_never_mirrors(seed: int) -> None:
    """A mirrored person keeps an error, the least one that a proper rotation leaves."""
    _, true = poses(seed)
    mirrored = true * [-1.0, 1.0, 1.0]
    expected = np.stack([best_similarity(p, t) for p, t in zip(mirrored, true, strict=True)])
    np.testing.assert_allclose(metrics.procrustes(mirrored, true), expected, atol=1e-6)
    assert metrics.p_mpjpe(mirrored, true) > 50
    with_mirror, _ = orthogonal_procrustes(mirrored[0], true[0])
    np.testing.assert_allclose(mirrored[0] @ with_mirror, true[0], atol=1e-9)


@FEW
@given(seed=SEEDS)
def test_the_scale_of_n_mpjpe_is_the_best(seed: int) -> None:
    predicted, true = poses(seed, frames=1)
    best = minimize_scalar(lambda s: ((s * predicted - true) ** 2).sum(), bracket=(0.5, 2)).x
    assert metrics.n_mpjpe(predicted, true) == pytest.approx(
        metrics.mpjpe(best * predicted, true), rel=1e-6
    )


@FEW
@given(seed=SEEDS, scale=st.floats(0.1, 10))
def test_what_changes_nothing(seed: int, scale: float) -> None:
    predicted, true = poses(seed)
    turn = rotations(seed, len(true))
    shift = np.random.default_rng(seed).normal(size=(len(true), 1, 3))
    everything = scale * predicted @ turn + shift
    assert metrics.p_mpjpe(everything, true) == pytest.approx(metrics.p_mpjpe(predicted, true))
    assert metrics.n_mpjpe(scale * predicted, true) == pytest.approx(
        metrics.n_mpjpe(predicted, true)
    )
    assert metrics.mpjpe(predicted @ turn + shift, true @ turn + shift) == pytest.approx(
        metrics.mpjpe(predicted, true)
    )
    assert metrics.mpjve(predicted + shift[:1], true, 50.0) == pytest.approx(
        metrics.mpjve(predicted, true, 50.0)
    )


@FEW
@given(seed=SEEDS)
def test_each_alignment_removes_squared_error(seed: int) -> None:
    """Each protocol may do what the one before it may, and more."""
    predicted, true = poses(seed)

    def squared(found: np.ndarray) -> np.ndarray:
        return ((found - true) ** 2).sum(axis=(-2, -1))

    scale = (predicted * true).sum(axis=(-2, -1)) / (predicted**2).sum(axis=(-2, -1))
    scaled = squared(predicted * scale[:, None, None])
    assert (squared(metrics.procrustes(predicted, true)) <= scaled + 1e-12).all()
    assert (scaled <= squared(predicted) + 1e-12).all()


@FEW
@given(seed=SEEDS)
def test_frames_are_aligned_each_alone(seed: int) -> None:
    predicted, true = poses(seed, frames=4)
    alone = [metrics.p_mpjpe(predicted[i], true[i]) for i in range(4)]
    assert metrics.p_mpjpe(predicted, true) == pytest.approx(np.mean(alone))
    in_two = metrics.p_mpjpe(predicted.reshape(2, 2, J, 3), true.reshape(2, 2, J, 3))
    assert in_two == pytest.approx(np.mean(alone))


def test_what_is_exact_costs_nothing() -> None:
    _, true = poses(0)
    for metric in (metrics.mpjpe, metrics.n_mpjpe, metrics.p_mpjpe):
        assert metric(true, true) == pytest.approx(0.0, abs=1e-9)
    assert metrics.mpjve(true, true, 50.0) == 0
    assert metrics.pck(true, true) == metrics.auc(true, true) == 100


@pytest.mark.parametrize("metric", [metrics.mpjpe, metrics.n_mpjpe, metrics.p_mpjpe])
def test_a_collapsed_pose_is_an_error_and_no_nan(
    metric: Callable[[np.ndarray, np.ndarray], float],
) -> None:
    """All joints in one place, as a network answers that has learnt nothing."""
    _, true = poses(0)
    assert 100 < metric(np.zeros_like(true), true) < 2000


def test_a_flat_pose_is_aligned() -> None:
    """All joints in one plane, where a mirror and a rotation do the same."""
    predicted, true = poses(0)
    flat = true * [1.0, 1.0, 0.0]
    turned = flat @ rotations(0, len(flat))
    assert metrics.p_mpjpe(turned, flat) == pytest.approx(0.0, abs=1e-6)
    assert np.isfinite(metrics.p_mpjpe(predicted, flat))


def test_float32_is_enough_and_stays_as_it_was() -> None:
    predicted, true = (part.astype(np.float32) for part in poses(0, frames=50))
    before = predicted.copy()
    for metric in (metrics.mpjpe, metrics.n_mpjpe, metrics.p_mpjpe, metrics.pck, metrics.auc):
        exact = metric(predicted.astype(np.float64), true.astype(np.float64))
        assert metric(predicted, true) == pytest.approx(exact, rel=1e-4)
    np.testing.assert_array_equal(predicted, before)
