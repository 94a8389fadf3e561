"""Detection noise, fitted to the tracks of people in videos.

tracks -> swaps repaired -> fast error -> its correlation, and its spread by joint and score; also
bursts, frames without the person, low scores and cropped bodies. The videos have no ground truth:
docs/detector-noise.md says what one view can show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from model.training.noise.fast_error import Correlation, autocorrelation, fit_correlation, spread
from model.training.noise.person import KINDS, PersonErrors, people_of
from model.training.noise.score_table import ScoreTable, fit_score_table
from model.training.noise.shares import Bursts, Shares, count_shares, describe_bursts
from model.training.noise.swaps import SwapInterval
from model.training.noise.tracks import Float64, Track


@dataclass(frozen=True)
class NoiseFit:
    """All measurements.

    detector (name, version); autocorrelations: frame rate -> (autocorrelation of the fast error,
    number of errors); factors: error of each joint of KINDS relative to a hip's; levels: per
    person, the slow spread of a hip as extrapolated from the fast part (share of body height);
    score_jitter: spread of a score's change between frames; score_offset: spread of a joint's
    median score between people, both in log-odds.
    """

    detector: tuple[str, str]
    people: tuple[PersonErrors, ...]
    autocorrelations: Mapping[float, tuple[Float64, int]]
    correlation: Correlation
    factors: tuple[float, ...]
    levels: tuple[float, ...]
    scores: ScoreTable
    score_jitter: float
    score_offset: float
    shares: Shares
    bursts: Bursts

    @property
    def swaps(self) -> list[SwapInterval]:
        return [swap for person in self.people for swap in person.swaps]


def fit_noise(tracks: Sequence[Track], detector: tuple[str, str]) -> NoiseFit:
    """Fit the noise of a detector (name, version). Raises InvalidInput if no track is long
    enough."""
    people = people_of(tracks)
    autocorrelations = _autocorrelations(people)
    correlation = fit_correlation(autocorrelations)
    sizes = [person.burst_sizes(correlation.passed[person.track.fps]) for person in people]
    factors = _joint_factors(people)
    return NoiseFit(
        detector=detector,
        people=people,
        autocorrelations=autocorrelations,
        correlation=correlation,
        factors=tuple(factors.tolist()),
        levels=tuple(_level(person, factors, correlation) for person in people),
        scores=_scores(people),
        score_jitter=_score_jitter(people),
        score_offset=_score_offset(people),
        shares=count_shares(people, sizes),
        bursts=describe_bursts(people, sizes),
    )


def _autocorrelations(people: Sequence[PersonErrors]) -> dict[float, tuple[Float64, int]]:
    parts: dict[float, list[Float64]] = {}
    for person in people:
        parts.setdefault(person.track.fps, []).append(person.in_spreads())
    return {
        fps: (autocorrelation(errors), sum(part.size for part in errors))
        for fps, errors in parts.items()
    }


def _joint_factors(people: Sequence[PersonErrors]) -> Float64:
    """(K,): geometric mean over people, weighted by frames."""
    logs = np.log([person.joint_spreads for person in people])
    mean: Float64 = np.average(logs, axis=0, weights=[len(p.errors) for p in people])
    return np.exp(mean - mean[KINDS.index("hip")])


def _level(person: PersonErrors, factors: Float64, correlation: Correlation) -> float:
    """From the mean of all joints, since a person's hips may be hidden."""
    fast = np.exp((np.log(person.joint_spreads) - np.log(factors)).mean())
    total = fast / correlation.passed[person.track.fps]
    return float(total / np.hypot(1, correlation.white))


def _scores(people: Sequence[PersonErrors]) -> ScoreTable:
    """Errors are divided by the person's spread: people differ in more than their scores."""
    score = np.concatenate([np.repeat(p.score.ravel(), 2) for p in people])
    error = np.concatenate([p.errors.ravel() / p.spread for p in people])
    return fit_score_table(score, error)


def _score_jitter(people: Sequence[PersonErrors]) -> float:
    steps = []
    for person in people:
        steps.append(np.diff(_odds(person.score), axis=0)[np.diff(person.frames) == 1].ravel())
    return spread(np.concatenate(steps)) / float(np.sqrt(2))


def _score_offset(people: Sequence[PersonErrors]) -> float:
    """0 if there is only one person."""
    medians = np.array([np.median(_odds(person.score), axis=0) for person in people])
    return spread(medians - np.median(medians, axis=0))


def _odds(score: Float64) -> Float64:
    """Log-odds; scores are clipped because float32 rounds values near 1."""
    odds: Float64 = logit(np.clip(score, 1e-5, 1 - 1e-5))
    return odds
