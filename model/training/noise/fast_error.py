"""The fast part of a detector's error: the residuals of a smooth curve through a track.

A quarter second of a person's motion is close to a cubic (Savitzky and Golay 1964); the residual is
detection error. Slower error follows the curve and cannot be measured in one view. The residuals'
autocorrelation determines the model: white noise plus a first-order autoregressive process whose
correlation over 1/50 s is rho.
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
"""The frame rate for which the simulated noise's correlation is stated."""
OUTLIER = 5.0
"""An error above this many spreads is a burst, not noise."""
NEARLY = 1.25
TOLERANCE = 0.02
"""A fit is plausible up to NEARLY times the least misfit plus TOLERANCE of correlation."""

_MAD_TO_SPREAD = 1.4826
_RHO = np.round(np.arange(0.0, 0.99, 0.02), 2)
_WHITE = np.concatenate([np.round(np.arange(0.0, 2.01, 0.05), 2), [3.0, 5.0, 10.0]])


@dataclass(frozen=True)
class Correlation:
    """Noise = slow (unit spread, correlation rho over 1/50 s) + white (spread `white`).

    plausible is the range of rho that fits nearly as well, each with its best white; it is wide,
    because within the filter's length a slow process shows little but the size of its steps.
    passed maps a frame rate to the share of the noise's spread that passes the filter.
    """

    rho: float
    plausible: tuple[float, float]
    white: float
    passed: Mapping[float, float]

    @property
    def white_per_step(self) -> float:
        """White spread relative to the slow part's step in 1/50 s, which one view can show."""
        return self.white / float(np.sqrt(1 - self.rho**2))


def window_frames(fps: float) -> int:
    """The filter's length: odd, about a quarter second, at least ORDER + 4."""
    return max(2 * round(fps * WINDOW_S / 2) + 1, ORDER + 4)


def residuals(positions: Float64, fps: float) -> Float64:
    """Residuals of the filter for consecutive positions (T, ...): (T - window + 1, ...), or
    (0, ...) if there are fewer frames than the filter's length.

    Outliers are first replaced by the median of their neighbours, so that they do not distort the
    curve.
    """
    window = window_frames(fps)
    if len(positions) < window:
        return np.zeros((0, *positions.shape[1:]))
    half = window // 2
    curve = savgol_filter(_without_outliers(positions), window, ORDER, axis=0)
    return (positions - curve)[half : len(positions) - half]


def spread(errors: Float64) -> float:
    """Robust standard deviation about 0: 1.4826 times the median magnitude."""
    return float(_MAD_TO_SPREAD * np.median(np.abs(errors)))


def autocorrelation(parts: Sequence[Float64]) -> Float64:
    """Autocorrelation of residuals (T, N) of several tracks, in spreads: lags 0..LAGS."""
    sums = np.zeros((LAGS + 1, 2))
    for part in parts:
        kept = np.abs(part) < OUTLIER
        held = np.where(kept, part, 0.0)
        for lag in range(min(LAGS + 1, len(part))):
            first, second = slice(len(part) - lag), slice(lag, None)
            sums[lag] += (held[first] * held[second]).sum(), (kept[first] & kept[second]).sum()
    covariance = sums[:, 0] / np.maximum(sums[:, 1], 1)
    return covariance / covariance[0]


def fit_correlation(measured: Mapping[float, tuple[Float64, int]]) -> Correlation:
    """The best fit to: frame rate -> (autocorrelation of residuals, number of residuals)."""
    misfits = np.array([[_misfit(measured, rho, white) for white in _WHITE] for rho in _RHO])
    best_rho, best_white = np.unravel_index(misfits.argmin(), misfits.shape)
    tolerance = LAGS * TOLERANCE**2 * sum(count for _, count in measured.values())
    near = _RHO[misfits.min(axis=1) <= NEARLY * misfits.min() + tolerance]
    rho, white = float(_RHO[best_rho]), float(_WHITE[best_white])
    passed = {fps: _expected(fps, rho, white)[1] for fps in measured}
    return Correlation(rho, (float(near.min()), float(near.max())), white, passed)


def _misfit(measured: Mapping[float, tuple[Float64, int]], rho: float, white: float) -> float:
    return sum(
        count * float(((_expected(fps, float(rho), float(white))[0] - correlation) ** 2).sum())
        for fps, (correlation, count) in measured.items()
    )


def expected_autocorrelation(fps: float, rho: float, white: float) -> Float64:
    """Autocorrelation of the residuals of such noise, lags 0..LAGS."""
    return _expected(fps, rho, white)[0]


@cache
def _expected(fps: float, rho: float, white: float) -> tuple[Float64, float]:
    """(autocorrelation of the residuals, share of the spread that passes the filter)."""
    window = window_frames(fps)
    length = window + LAGS
    lag = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    noise = rho ** (lag * REFERENCE_FPS / fps) + white**2 * (lag == 0)
    residual = -savgol_coeffs(window, ORDER, use="dot")
    residual[window // 2] += 1
    rows = toeplitz(np.r_[residual[0], np.zeros(LAGS)], np.r_[residual, np.zeros(LAGS)])
    covariance = (rows @ noise @ rows.T)[0]
    return covariance / covariance[0], float(np.sqrt(covariance[0] / noise[0, 0]))


def _without_outliers(positions: Float64) -> Float64:
    """Outliers replaced by the median of the frames around them."""
    medians = median_filter(positions, size=(5, *[1] * (positions.ndim - 1)), mode="nearest")
    distance = np.abs(positions - medians)
    usual = _MAD_TO_SPREAD * np.median(distance, axis=0) + np.finfo(np.float32).tiny
    return np.where(distance > OUTLIER * usual, medians, positions)
