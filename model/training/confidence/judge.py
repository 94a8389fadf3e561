"""What a confidence is worth on people it was not fitted to, beside the detector's own score."""

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
    """Joints whose confidence lies within one tenth of 0..1: their share of all joints, their mean
    confidence, how many truly lie within the distance (0..1), and their mean error."""

    share: float
    confidence: float
    within: float
    error_mm: float


@dataclass(frozen=True)
class Part:
    """Joints of one kind, or of one person: how many lie within the distance, and how many the
    confidence says (0..1); how well it tells errors over 150 mm, as AUROC."""

    within: float
    confidence: float
    auroc: float


@dataclass(frozen=True)
class Judgement:
    """Over all joints but the pelvis. auroc: the chance that of a joint more than 150 mm off and
    another one the first has the lower value; rank: Spearman's correlation with the error; both of
    the confidence and of the detector's score. calibration: the mean distance between a bin's
    confidence and its share within (ECE)."""

    within_mm: float
    bins: tuple[Bin, ...]
    calibration: float
    auroc: float
    rank: float
    score_auroc: float
    score_rank: float
    kinds: Mapping[str, Part]
    people: Mapping[str, Part]


def judge(examples: Examples, confidence: Float64, within_mm: float) -> Judgement:
    """confidence (N, 17), of calibrations that have not seen the person."""
    kinds = np.array([-1 if kind is None else kind for kind in KIND_OF])
    joints = kinds >= 0
    sure, error = confidence[:, joints], examples.error_mm[:, joints]
    score = examples.score[:, joints]
    bins = _bins(sure.ravel(), error.ravel(), within_mm)
    person = np.repeat(examples.person[:, None], joints.sum(), axis=1)
    kind = np.broadcast_to(kinds[joints], sure.shape)

    def part(rows: NDArray[np.bool_]) -> Part:
        mine, far = sure[rows], error[rows]
        return Part(float((far <= within_mm).mean()), float(mine.mean()), _auroc(mine, far))

    return Judgement(
        within_mm=within_mm,
        bins=bins,
        calibration=sum(one.share * abs(one.confidence - one.within) for one in bins),
        auroc=_auroc(sure, error),
        rank=float(spearmanr(sure.ravel(), error.ravel())[0]),
        score_auroc=_auroc(score, error),
        score_rank=float(spearmanr(score.ravel(), error.ravel())[0]),
        kinds={name: part(kind == index) for index, name in enumerate(KINDS)},
        people={str(name): part(person == name) for name in np.unique(examples.person)},
    )


def _bins(sure: Float64, error: Float64, within_mm: float) -> tuple[Bin, ...]:
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    found = []
    for index in np.unique(place):
        inside = place == index
        found.append(
            Bin(
                share=float(inside.mean()),
                confidence=float(sure[inside].mean()),
                within=float((error[inside] <= within_mm).mean()),
                error_mm=float(error[inside].mean()),
            )
        )
    return tuple(found)


def _auroc(value: Float64, error: Float64) -> float:
    """NaN where all errors lie on one side."""
    far = error > PCK_THRESHOLD_MM
    if far.all() or not far.any():
        return float("nan")
    wins = mannwhitneyu(value[~far], value[far]).statistic
    return float(wins / (far.sum() * (~far).sum()))
