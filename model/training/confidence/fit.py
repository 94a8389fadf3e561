"""Signals and errors -> a calibration: a logistic model for each kind of joint. All signals but
those of posture can only lower the confidence."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from model.errors import InvalidInput
from model.keypoints.sequences import Float64
from model.lifting.confidence import KIND_OF, KINDS, Calibration, KindOfJoint
from model.lifting.signals import POSTURE, SIGNALS
from model.training.confidence.examples import Examples

RIDGE = 1e-3
"""Ridge penalty on the weights of standardised signals, relative to the mean loss per example."""
PRECISION = 1e-7
"""Relative tolerance of the loss; a smaller one does not change any stored decimal."""
MAX_LOG_ODDS = 10.0
"""Bound of the intercept, reached if all examples, or none, are within the distance."""


def fit(examples: Examples, within_mm: float) -> Calibration:
    within = examples.error_mm <= within_mm
    kinds = []
    for kind in range(len(KINDS)):
        joints = [joint for joint, its_kind in enumerate(KIND_OF) if its_kind == kind]
        signals = examples.signals[:, joints].reshape(-1, examples.signals.shape[-1])
        labels = within[:, joints].ravel()
        intercept, weights = _logistic(signals, labels.astype(np.float64))
        typical = tuple(signals.mean(axis=0).tolist())
        bone_m = float(examples.bones_m[joints].mean())
        kinds.append(KindOfJoint(bone_m, intercept, tuple(weights.tolist()), typical))
    return Calibration(within_mm, tuple(kinds))


def _logistic(signals: Float64, labels: Float64) -> tuple[float, Float64]:
    """Intercept and weights of logit p = intercept - weights . signals, weights 0 or more except
    for posture: maximum likelihood with a ridge penalty, by L-BFGS-B."""
    mean, spread = signals.mean(axis=0), np.maximum(signals.std(axis=0), 1e-9)
    scaled = (signals - mean) / spread

    def loss(parameters: Float64) -> tuple[float, Float64]:
        weights = parameters[1:]
        odds = parameters[0] - scaled @ weights
        residual = expit(odds) - labels
        value = np.mean(np.logaddexp(0, odds) - labels * odds) + RIDGE * (weights @ weights)
        gradient = -(residual @ scaled) / len(labels) + 2 * RIDGE * weights
        return float(value), np.concatenate([[residual.mean()], gradient])

    start = np.zeros(signals.shape[1] + 1)
    positive = [(None if name in POSTURE else 0, None) for name in SIGNALS]
    bounds = [(-MAX_LOG_ODDS, MAX_LOG_ODDS), *positive]
    options = {"ftol": PRECISION}
    result = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    weights = result.x[1:] / spread
    return float(result.x[0] + mean @ weights), weights


def held_out(examples: Examples, within_mm: float) -> Float64:
    """(N, 17): each person's confidence from a calibration fitted to the others. Raises
    InvalidInput if there is only one person."""
    confidence = np.zeros(examples.error_mm.shape)
    people = np.unique(examples.person)
    if len(people) < 2:
        raise InvalidInput(
            "confidence is evaluated on people it was not fitted to: recordings of at least two "
            "people are needed"
        )
    for rows in (examples.person == person for person in people):
        calibration = fit(examples.of(~rows), within_mm)
        signals = np.moveaxis(examples.signals[rows], -1, 0)
        confidence[rows] = calibration.of_signals(signals)
    return confidence
