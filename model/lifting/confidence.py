"""How sure each joint of a pose is: the estimated probability that it lies within a stated distance
of where it truly is, relative to the pelvis, with the person's height known.

A logistic model for each kind of joint over model.signals. `poselift fit-confidence` fits it to one
model file and stores it in that file's metadata, so that it can belong to no other.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from model.keypoints.sequences import Float32
from model.keypoints.skeleton import H36M17
from model.lifting.signals import OF_PATHS, SIGNALS, Evidence, Float64

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
"""Of joints, left and right alike. The pelvis is none: errors are measured from it."""

KIND_OF = tuple(
    None if joint == H36M17.root else KINDS.index(name.removeprefix("left_").removeprefix("right_"))
    for joint, name in enumerate(H36M17.joints)
)


DECIMALS = 3
"""A confidence means nothing beyond them, and costs a reply room."""


@dataclass(frozen=True)
class KindOfJoint:
    """bone_m: the usual length of the bone that ends there, at the model's body size; intercept:
    log odds without any trouble; weights: what each signal takes off, 0 or more for one of trouble;
    typical: the mean of each signal, which stands in where a sequence is too short to have it."""

    bone_m: float
    intercept: float
    weights: tuple[float, ...]
    typical: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    """kinds: one for each of KINDS."""

    within_mm: float
    kinds: tuple[KindOfJoint, ...]

    def confidence(self, evidence: Evidence) -> Float32:
        """(T, 17) in 0..1; the pelvis, which poses are relative to, has 1."""
        shape = evidence.xyz.shape[:2]
        known = (
            signal(evidence)
            if evidence.has_path or name not in OF_PATHS
            else np.broadcast_to(self._by_joint("typical", index), shape)
            for index, (name, signal) in enumerate(SIGNALS.items())
        )
        return self.of_signals(known).round(DECIMALS).astype(np.float32)

    def of_signals(self, signals: Iterable[Float64]) -> Float64:
        """The same of the values (T, 17) of all SIGNALS, one after the other."""
        odds = np.array([0.0 if k is None else self.kinds[k].intercept for k in KIND_OF])
        for index, values in enumerate(signals):
            odds = odds - self._by_joint("weights", index) * values
        sure: Float64 = expit(odds)
        sure[..., H36M17.root] = 1
        return sure

    @property
    def bones_m(self) -> Float64:
        """(17,) m; 1 for the pelvis, which has none."""
        return np.array([1.0 if k is None else self.kinds[k].bone_m for k in KIND_OF])

    def _by_joint(self, field: str, signal: int) -> Float64:
        """(17,): one signal's weight or typical value."""
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
        """Raises ValueError where it was fitted to other signals or joints than these."""
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
