"""Signals and errors -> a calibration: for each kind of joint a logistic model in which trouble can
only take confidence away."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from model.errors import InvalidInput
from model.lifting.confidence import KIND_OF, KINDS, Calibration, KindOfJoint
from model.lifting.signals import POSTURE, SIGNALS, Float64
from model.training.confidence.examples import Examples

RIDGE = 1e-3
"""On the weights of signals of unit spread, against the mean loss of one example."""
PRECISION = 1e-7
"""Of the loss, relative; more changes no decimal of a confidence."""
SUREST = 10.0
"""Log odds where of all examples none is beyond the distance, or all are."""


def fit(examples: Examples, within_mm: float) -> Calibration:
    within = examples.error_mm <= within_mm
    kinds = []
    for kind in range(len(KINDS)):
        joints = [joint for joint, found in enumerate(KIND_OF) if found == kind]
        signals = examples.signals[:, joints].reshape(-1, examples.signals.shape[-1])
        answers = within[:, joints].ravel()
        intercept, weights = _logistic(signals, answers.astype(np.float64))
        typical = tuple(signals.mean(axis=0).tolist())
        bone_m = float(examples.bones_m[joints].mean())
        kinds.append(KindOfJoint(bone_m, intercept, tuple(weights.tolist()), typical))
    return Calibration(within_mm, tuple(kinds))


def _logistic(signals: Float64, answers: Float64) -> tuple[float, Float64]:
    """Intercept and weights of logit p = intercept - weights . signals, those of trouble 0 or more:
    maximum likelihood with a ridge, by L-BFGS-B."""
    mean, spread = signals.mean(axis=0), np.maximum(signals.std(axis=0), 1e-9)
    scaled = (signals - mean) / spread

    def loss(parameters: Float64) -> tuple[float, Float64]:
        weights = parameters[1:]
        odds = parameters[0] - scaled @ weights
        missed = expit(odds) - answers
        value = np.mean(np.logaddexp(0, odds) - answers * odds) + RIDGE * (weights @ weights)
        slope = -(missed @ scaled) / len(answers) + 2 * RIDGE * weights
        return float(value), np.concatenate([[missed.mean()], slope])

    start = np.zeros(signals.shape[1] + 1)
    bounds = [(-SUREST, SUREST), *((None if n in POSTURE else 0, None) for n in SIGNALS)]
    settings = {"ftol": PRECISION}
    answer = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=settings)
    weights = answer.x[1:] / spread
    return float(answer.x[0] + mean @ weights), weights


def held_out(examples: Examples, within_mm: float) -> Float64:
    """(N, 17): each person's confidence by a calibration fitted to the others.
    Raises InvalidInput where there are no others."""
    confidence = np.zeros(examples.error_mm.shape)
    people = np.unique(examples.person)
    if len(people) < 2:
        raise InvalidInput("confidence is judged on people it was not fitted to: two are needed")
    for mine in (examples.person == person for person in people):
        calibration = fit(examples.of(~mine), within_mm)
        signals = np.moveaxis(examples.signals[mine], -1, 0)
        confidence[mine] = calibration.of_signals(signals)
    return confidence
