"""Confidence of each joint of a pose: the estimated probability that its error, relative to the
pelvis and with the person's height known, is below a stated distance.

One logistic model per kind of joint over model.lifting.signals. `poselift fit-confidence` fits it
to a model file and stores it in the metadata of that file.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from model.keypoints.sequences import Float32, Float64
from model.keypoints.skeleton import H36M17
from model.lifting.signals import OF_PATHS, SIGNALS, Evidence

KINDS = (
    "hip",
    "knee",
    "ankle",
    "spine",
    "thorax",
    "neck_nose",
    "head",
    "shoulder",
    "elbow",
    "wrist",
)
"""Kinds of joints, left and right alike; not the pelvis, from which errors are measured."""

KIND_OF = tuple(
    None if joint == H36M17.root else KINDS.index(name.removeprefix("left_").removeprefix("right_"))
    for joint, name in enumerate(H36M17.joints)
)

DECIMALS = 3
"""More digits are not significant and only make responses longer."""


@dataclass(frozen=True)
class KindOfJoint:
    """bone_m: typical length of the bone ending there, at the model's body size; intercept: log
    odds with all signals 0; weights: log odds subtracted per unit of each signal, >= 0 for signals
    of error; typical: mean of each signal, used if a sequence is too short to compute it."""

    bone_m: float
    intercept: float
    weights: tuple[float, ...]
    typical: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    within_mm: float
    kinds: tuple[KindOfJoint, ...]  # as KINDS

    def confidence(self, evidence: Evidence) -> Float32:
        """(T, 17) in 0..1; 1 for the pelvis."""
        shape = evidence.xyz.shape[:2]
        values = (
            signal(evidence)
            if evidence.has_path or name not in OF_PATHS
            else np.broadcast_to(self._by_joint("typical", index), shape)
            for index, (name, signal) in enumerate(SIGNALS.items())
        )
        return self.of_signals(values).round(DECIMALS).astype(np.float32)

    def of_signals(self, signals: Iterable[Float64]) -> Float64:
        """The unrounded confidence from the values (T, 17) of each of SIGNALS in turn."""
        odds = np.array([0.0 if k is None else self.kinds[k].intercept for k in KIND_OF])
        for index, values in enumerate(signals):
            odds = odds - self._by_joint("weights", index) * values
        confidence: Float64 = expit(odds)
        confidence[..., H36M17.root] = 1
        return confidence

    @property
    def bones_m(self) -> Float64:
        """(17,) m; 1 for the pelvis, which has no bone."""
        return np.array([1.0 if k is None else self.kinds[k].bone_m for k in KIND_OF])

    def _by_joint(self, field: str, signal: int) -> Float64:
        """A signal's weight or typical value: (17,)."""
        values = [0.0 if k is None else getattr(self.kinds[k], field)[signal] for k in KIND_OF]
        return np.array(values)

    def to_json(self) -> str:
        """The inverse of from_json."""
        kinds = {
            name: [_rounded(v) for v in ((k.bone_m, k.intercept), k.weights, k.typical)]
            for name, k in zip(KINDS, self.kinds, strict=True)
        }
        return json.dumps({"within_mm": self.within_mm, "signals": list(SIGNALS), "kinds": kinds})

    @staticmethod
    def from_json(text: str) -> "Calibration":
        """Raises ValueError if it was fitted to other signals or kinds of joints."""
        document = json.loads(text)
        if document["signals"] != list(SIGNALS) or list(document["kinds"]) != list(KINDS):
            raise ValueError("its confidence was fitted to other signals; run fit-confidence again")
        return Calibration(
            float(document["within_mm"]),
            tuple(
                KindOfJoint(bone_m, intercept, tuple(weights), tuple(typical))
                for (bone_m, intercept), weights, typical in document["kinds"].values()
            ),
        )


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), 5) for value in values]
