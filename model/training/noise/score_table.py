"""What a detector's score is worth: a monotone table from the score to the error that goes with it.

A score is no probability, and differs between detectors. Through its table it becomes a
reliability that means the same for all: the detector's smallest error over the error at this score,
so 1 is as exact as that detector gets and 0.5 is twice as far off.
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
"""Errors that a spread needs to be known to about a tenth."""


@dataclass(frozen=True)
class ScoreTable:
    """scores (K,) rising within 0..1; times (K,) falling to 1: the error there, in those of the
    best score. Raises InvalidInput where it is not so."""

    scores: tuple[float, ...]
    times: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = (np.diff(self.scores) > 0).all() and (np.diff(self.times) < 0).all()
        if not (self.scores and len(self.scores) == len(self.times) and rising):
            raise InvalidInput("a score table needs rising scores and as many falling errors")
        if not (self.scores[0] >= 0 and self.scores[-1] <= 1 and self.times[-1] == 1):
            raise InvalidInput("a score table lies within 0..1 and ends at once the least error")

    def error(self, score: Float64) -> Float64:
        """The error that goes with scores (...), in those of the best score."""
        return np.interp(score, self.scores, self.times)

    def reliability(self, score: Float64) -> Float64:
        """Scores (...) -> 0..1 by 1 / error; never falling, and 0 for 0, which is not seen."""
        return np.where(score > 0, 1 / self.error(score), 0.0)


def fit_score_table(score: Float64, error: Float64) -> ScoreTable:
    """Scores (N,) and signed errors (N,) in any one unit -> the falling table nearest to them.

    Bins of equal count, the robust spread of each, and isotonic regression over the bins.
    Raises InvalidInput of too few errors.
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
    """One knot a block of equal spreads; blocks of equal scores become one, too."""
    knots: dict[float, float] = {}
    for start, end in pairwise(blocks):
        middle = round(float(middles[start:end].mean()), 6)
        knots[middle] = float(spreads[start])
    least = min(knots.values())
    return ScoreTable(
        scores=tuple(knots), times=tuple(round(value / least, 4) for value in knots.values())
    )
