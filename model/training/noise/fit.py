"""The noise of a detector, fitted to the tracks of people in clips.

tracks -> swaps undone -> fast error -> its correlation, and its spread by joint and by score;
beside it bursts, frames without the person, low scores and cropped bodies. A clip has no ground
truth: docs/detector-noise.md says what can be seen in one view and what cannot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from model.training.noise.fast_error import Correlation, autocorrelation, fit_correlation, spread
from model.training.noise.person import KINDS, PersonErrors, people_of
from model.training.noise.score_table import ScoreTable, fit_score_table
from model.training.noise.shares import Bursts, Shares, count_shares, describe_bursts
from model.training.noise.swaps import Spell
from model.training.noise.tracks import Float64, Track


@dataclass(frozen=True)
class NoiseFit:
    """All that was measured.

    detector (name, version); seen: frame rate -> (autocorrelation of the fast error, how many);
    factors: per joint of KINDS, its error against a hip's; levels: per person, a hip's slow
    spread, share of the body's height, if the slow part is what the fast part foretells;
    score_jitter: spread of a score about its last value, and score_offset: of a joint's median
    score from person to person, both in log-odds.
    """

    detector: tuple[str, str]
    people: tuple[PersonErrors, ...]
    seen: Mapping[float, tuple[Float64, int]]
    correlation: Correlation
    factors: tuple[float, ...]
    levels: tuple[float, ...]
    scores: ScoreTable
    score_jitter: float
    score_offset: float
    shares: Shares
    bursts: Bursts

    @property
    def spells(self) -> list[Spell]:
        return [spell for person in self.people for spell in person.spells]


def fit_noise(tracks: Sequence[Track], detector: tuple[str, str]) -> NoiseFit:
    """Measure a detector (name, version); raises InvalidInput where no track is long enough."""
    people = people_of(tracks)
    seen = _autocorrelations(people)
    correlation = fit_correlation(seen)
    sizes = [person.burst_sizes(correlation.passed[person.track.fps]) for person in people]
    factors = _joint_factors(people)
    return NoiseFit(
        detector=detector,
        people=people,
        seen=seen,
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
        fps: (autocorrelation(found), sum(errors.size for errors in found))
        for fps, found in parts.items()
    }


def _joint_factors(people: Sequence[PersonErrors]) -> Float64:
    """(K,): the geometric mean over people, weighted by their frames."""
    logs = np.log([person.joint_spreads for person in people])
    mean: Float64 = np.average(logs, axis=0, weights=[len(p.errors) for p in people])
    return np.exp(mean - mean[KINDS.index("hip")])


def _level(person: PersonErrors, factors: Float64, correlation: Correlation) -> float:
    """From the mean of all joints, since one person's hips may be hidden."""
    fast = np.exp((np.log(person.joint_spreads) - np.log(factors)).mean())
    total = fast / correlation.passed[person.track.fps]
    return float(total / np.hypot(1, correlation.white))


def _scores(people: Sequence[PersonErrors]) -> ScoreTable:
    """Errors in spreads of the person, since people differ in more than their scores."""
    score = np.concatenate([np.repeat(p.score.ravel(), 2) for p in people])
    error = np.concatenate([p.errors.ravel() / p.spread for p in people])
    return fit_score_table(score, error)


def _score_jitter(people: Sequence[PersonErrors]) -> float:
    steps = []
    for person in people:
        steps.append(np.diff(_odds(person.score), axis=0)[np.diff(person.frames) == 1].ravel())
    return spread(np.concatenate(steps)) / float(np.sqrt(2))


def _score_offset(people: Sequence[PersonErrors]) -> float:
    """Of one person alone it cannot be known, and is 0."""
    medians = np.array([np.median(_odds(person.score), axis=0) for person in people])
    return spread(medians - np.median(medians, axis=0))


def _odds(score: Float64) -> Float64:
    """Log-odds; scores so near to 0 or 1 that a float32 rounds them are cut off."""
    odds: Float64 = logit(np.clip(score, 1e-5, 1 - 1e-5))
    return odds
