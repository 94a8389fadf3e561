"""Reliability of the confidence on people it was not fitted to, compared with detector scores."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, spearmanr

from model.keypoints.sequences import Float64
from model.lifting.confidence import KIND_OF, KINDS
from model.motion.metrics import PCK_THRESHOLD_MM
from model.training.confidence.examples import Examples

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Joints with a confidence in one tenth of 0..1: their share of all joints, mean confidence,
    the share that is within the distance (0..1), and the mean error."""

    share: float
    confidence: float
    within: float
    error_mm: float


@dataclass(frozen=True)
class Group:
    """Joints of one kind or person: the share that is within the distance and the mean confidence
    (0..1), and the AUROC of the confidence for errors over 150 mm."""

    within: float
    confidence: float
    auroc: float


@dataclass(frozen=True)
class Reliability:
    """Over all joints but the pelvis. auroc: the probability that a joint with an error over 150 mm
    has a lower value than one without; rank: Spearman's correlation with the error; both for the
    confidence and for the detector's score. calibration: expected calibration error (ECE)."""

    within_mm: float
    bins: tuple[Bin, ...]
    calibration: float
    auroc: float
    rank: float
    score_auroc: float
    score_rank: float
    kinds: Mapping[str, Group]
    people: Mapping[str, Group]


def assess(examples: Examples, confidence: Float64, within_mm: float) -> Reliability:
    """confidence (N, 17) must come from calibrations that were not fitted to the person."""
    kinds = np.array([-1 if kind is None else kind for kind in KIND_OF])
    joints = kinds >= 0
    confidence, error = confidence[:, joints], examples.error_mm[:, joints]
    score = examples.score[:, joints]
    bins = _bins(confidence.ravel(), error.ravel(), within_mm)
    person = np.repeat(examples.person[:, None], joints.sum(), axis=1)
    kind = np.broadcast_to(kinds[joints], confidence.shape)

    def group(rows: NDArray[np.bool_]) -> Group:
        within = error[rows] <= within_mm
        auroc = _auroc(confidence[rows], error[rows])
        return Group(float(within.mean()), float(confidence[rows].mean()), auroc)

    return Reliability(
        within_mm=within_mm,
        bins=bins,
        calibration=sum(each.share * abs(each.confidence - each.within) for each in bins),
        auroc=_auroc(confidence, error),
        rank=float(spearmanr(confidence.ravel(), error.ravel())[0]),
        score_auroc=_auroc(score, error),
        score_rank=float(spearmanr(score.ravel(), error.ravel())[0]),
        kinds={name: group(kind == index) for index, name in enumerate(KINDS)},
        people={str(name): group(person == name) for name in np.unique(examples.person)},
    )


def _bins(confidence: Float64, error: Float64, within_mm: float) -> tuple[Bin, ...]:
    index = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return tuple(
        Bin(
            share=float(inside.mean()),
            confidence=float(confidence[inside].mean()),
            within=float((error[inside] <= within_mm).mean()),
            error_mm=float(error[inside].mean()),
        )
        for inside in (index == number for number in np.unique(index))
    )


def _auroc(value: Float64, error: Float64) -> float:
    """NaN if all errors are on one side of 150 mm."""
    far = error > PCK_THRESHOLD_MM
    if far.all() or not far.any():
        return float("nan")
    wins = mannwhitneyu(value[~far], value[far]).statistic
    return float(wins / (far.sum() * (~far).sum()))
