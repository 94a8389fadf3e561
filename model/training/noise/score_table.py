"""A monotone table from a detector's score to the error that goes with it.

A score is not a probability and differs between detectors. The table maps it to a reliability that
is comparable: the detector's smallest error divided by the error at this score, so 1 is the
detector's best accuracy and 0.5 is twice that error.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import isotonic_regression

from model.errors import InvalidInput
from model.training.noise.fast_error import spread
from model.training.noise.tracks import Float64

BINS = 16
MIN_IN_BIN = 40
"""Errors needed to estimate a spread to about 10 %."""


@dataclass(frozen=True)
class ScoreTable:
    """scores (K,) increasing within 0..1; times (K,) decreasing to 1: the error relative to that of
    the best score. Raises InvalidInput."""

    scores: tuple[float, ...]
    times: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = (np.diff(self.scores) > 0).all() and (np.diff(self.times) < 0).all()
        if not (self.scores and len(self.scores) == len(self.times) and rising):
            raise InvalidInput(
                "a score table needs increasing scores and the same number of decreasing errors"
            )
        if not (self.scores[0] >= 0 and self.scores[-1] <= 1 and self.times[-1] == 1):
            raise InvalidInput("scores of a table must be in 0..1 and its last error must be 1")

    def error(self, score: Float64) -> Float64:
        """Scores (...) -> errors relative to that of the best score."""
        return np.interp(score, self.scores, self.times)

    def reliability(self, score: Float64) -> Float64:
        """Scores (...) -> 1 / error, 0..1; 0 for score 0 (not seen)."""
        return np.where(score > 0, 1 / self.error(score), 0.0)


def fit_score_table(score: Float64, error: Float64) -> ScoreTable:
    """Fit a table to scores (N,) and signed errors (N,) of any unit.

    Isotonic regression over the robust spreads of bins of equal count. Raises InvalidInput for too
    few errors.
    """
    if len(score) < 2 * MIN_IN_BIN:
        raise InvalidInput(f"a score table needs {2 * MIN_IN_BIN} errors, got {len(score)}")
    order = np.argsort(score, kind="stable")
    bins = np.array_split(order, min(BINS, len(order) // MIN_IN_BIN))
    spreads = np.array([max(spread(error[rows]), 1e-9) for rows in bins])
    counts = np.array([len(rows) for rows in bins], float)
    fitted = isotonic_regression(spreads, weights=counts, increasing=False)
    middles = np.array([np.mean(score[rows]) for rows in bins])
    return _table(fitted.x, middles, fitted.blocks)


def _table(spreads: Float64, middles: Float64, blocks: Float64) -> ScoreTable:
    """One knot per block of equal spreads; blocks of equal scores are merged."""
    knots: dict[float, float] = {}
    for start, end in pairwise(blocks):
        middle = round(float(middles[start:end].mean()), 6)
        knots[middle] = float(spreads[start])
    least = min(knots.values())
    return ScoreTable(
        scores=tuple(knots), times=tuple(round(value / least, 4) for value in knots.values())
    )
