"""The fast part of a detector's error: what a smooth curve through a track leaves.

A quarter second of a person's motion is close to a cubic (Savitzky and Golay 1964); what is left
is the detector's. Error that moves more slowly follows the curve and cannot be seen in one view.
The residuals' correlation in time says which process passed through the filter: white noise, and a
first-order one whose correlation over 1/50 s is rho.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.linalg import toeplitz
from scipy.ndimage import median_filter
from scipy.signal import savgol_coeffs, savgol_filter

from model.training.noise.tracks import Float64

WINDOW_S = 0.25
ORDER = 3
LAGS = 5
REFERENCE_FPS = 50.0
"""The rate at which the simulated noise states its correlation."""
OUTLIER = 5.0
"""Spreads beyond which an error is a burst, not noise."""
NEARLY = 1.25
TOLERANCE = 0.02
"""A fit is nearly as good within these times the least misfit, and this much of correlation."""

_MAD_TO_SPREAD = 1.4826
_RHO = np.round(np.arange(0.0, 0.99, 0.02), 2)
_WHITE = np.concatenate([np.round(np.arange(0.0, 2.01, 0.05), 2), [3.0, 5.0, 10.0]])


@dataclass(frozen=True)
class Correlation:
    """Noise = slow (unit spread, correlation rho over 1/50 s) + white (spread `white`).

    plausible is the range of rho that fits nearly as well, each with its own best white: wide,
    since within the filter's length a slow process shows little but the size of its steps. passed
    maps a frame rate to the share of that noise's spread that the filter lets through.
    """

    rho: float
    plausible: tuple[float, float]
    white: float
    passed: Mapping[float, float]

    @property
    def white_per_step(self) -> float:
        """White spread over that of the slow part's step in 1/50 s: what one view does show."""
        return self.white / float(np.sqrt(1 - self.rho**2))


def window_frames(fps: float) -> int:
    """The filter's length: odd, about a quarter second, and longer than its order asks."""
    return max(2 * round(fps * WINDOW_S / 2) + 1, ORDER + 4)


def residuals(positions: Float64, fps: float) -> Float64:
    """What the filter leaves of consecutive positions (T, ...): (T - window + 1, ...), or (0, ...)
    of fewer frames than the filter is long.

    Outliers are first drawn to the median of their surroundings, lest they bend the curve.
    """
    window = window_frames(fps)
    if len(positions) < window:
        return np.zeros((0, *positions.shape[1:]))
    half = window // 2
    curve = savgol_filter(_calmed(positions), window, ORDER, axis=0)
    return (positions - curve)[half : len(positions) - half]


def spread(errors: Float64) -> float:
    """Robust standard deviation about 0: 1.4826 times the median magnitude."""
    return float(_MAD_TO_SPREAD * np.median(np.abs(errors)))


def autocorrelation(parts: Sequence[Float64]) -> Float64:
    """Of residuals (T, N) of several tracks, each in its own spreads: lags 0..LAGS, (LAGS + 1,)."""
    sums = np.zeros((LAGS + 1, 2))
    for part in parts:
        kept = np.abs(part) < OUTLIER
        held = np.where(kept, part, 0.0)
        for lag in range(min(LAGS + 1, len(part))):
            first, second = slice(len(part) - lag), slice(lag, None)
            sums[lag] += (held[first] * held[second]).sum(), (kept[first] & kept[second]).sum()
    covariance = sums[:, 0] / np.maximum(sums[:, 1], 1)
    return covariance / covariance[0]


def fit_correlation(seen: Mapping[float, tuple[Float64, int]]) -> Correlation:
    """Frame rate -> (autocorrelation of residuals, how many) -> the noise that fits best."""
    misfits = np.array([[_misfit(seen, rho, white) for white in _WHITE] for rho in _RHO])
    best_rho, best_white = np.unravel_index(misfits.argmin(), misfits.shape)
    tolerance = LAGS * TOLERANCE**2 * sum(count for _, count in seen.values())
    near = _RHO[misfits.min(axis=1) <= NEARLY * misfits.min() + tolerance]
    rho, white = float(_RHO[best_rho]), float(_WHITE[best_white])
    passed = {fps: _expected(fps, rho, white)[1] for fps in seen}
    return Correlation(rho, (float(near.min()), float(near.max())), white, passed)


def _misfit(seen: Mapping[float, tuple[Float64, int]], rho: float, white: float) -> float:
    return sum(
        count * float(((_expected(fps, float(rho), float(white))[0] - found) ** 2).sum())
        for fps, (found, count) in seen.items()
    )


def expected_autocorrelation(fps: float, rho: float, white: float) -> Float64:
    """Of the residuals of such noise: lags 0..LAGS, (LAGS + 1,)."""
    return _expected(fps, rho, white)[0]


@cache
def _expected(fps: float, rho: float, white: float) -> tuple[Float64, float]:
    """(autocorrelation of the residuals, share of the spread that is left) of that noise."""
    window = window_frames(fps)
    length = window + LAGS
    apart = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    noise = rho ** (apart * REFERENCE_FPS / fps) + white**2 * (apart == 0)
    coefficients = savgol_coeffs(window, ORDER, use="dot")
    left = -coefficients
    left[window // 2] += 1
    rows = toeplitz(np.r_[left[0], np.zeros(LAGS)], np.r_[left, np.zeros(LAGS)])
    covariance = (rows @ noise @ rows.T)[0]
    return covariance / covariance[0], float(np.sqrt(covariance[0] / noise[0, 0]))


def _calmed(positions: Float64) -> Float64:
    """Outliers drawn to the median of the frames around them."""
    around = median_filter(positions, size=(5, *[1] * (positions.ndim - 1)), mode="nearest")
    away = np.abs(positions - around)
    usual = _MAD_TO_SPREAD * np.median(away, axis=0) + np.finfo(np.float32).tiny
    return np.where(away > OUTLIER * usual, around, positions)
