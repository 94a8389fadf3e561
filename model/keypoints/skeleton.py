"""Joint sets, and their conversion to Human3.6M's 17 joints (H36M-17), the lifter's joint set.

Joints that a set lacks (model.keypoints.joint_sets) are interpolated from those it has. Training
uses the same conversion, so that the network sees the same input in service.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput, UnknownName

Array = Any
"""A NumPy array, or a torch tensor on any device."""

Recipe = Mapping[str, float]
"""Source joint -> weight; the weights sum to 1."""


@dataclass(frozen=True)
class Skeleton:
    """Named joints, their parents (-1: none) and, for each joint of H36M-17, alternative recipes,
    of which the first whose source joints are all seen is used. Raises InvalidInput."""

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    h36m17: Mapping[str, Sequence[Recipe]]

    def __post_init__(self) -> None:
        if len(self.parents) != len(self.joints):
            raise InvalidInput(
                f"{self.name}: expected {len(self.joints)} parents, got {len(self.parents)}"
            )

    def index(self, name: str) -> int:
        try:
            return self.joints.index(name)
        except ValueError:
            raise UnknownName("joint", name, self.joints) from None

    @property
    def root(self) -> int:
        return self.parents.index(-1)

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """For each joint, the index of its left/right counterpart, else its own."""
        return tuple(self.index(_other_side(name)) for name in self.joints)

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) pairs."""
        return tuple((p, c) for c, p in enumerate(self.parents) if p >= 0)

    @cached_property
    def _conversion(self) -> NDArray[np.float32]:
        """Weights (A, 17, J) of the A alternatives; a zero row means none."""
        depth = max(len(alternatives) for alternatives in self.h36m17.values())
        weights = np.zeros((depth, len(_H36M17_JOINTS), len(self.joints)), np.float32)
        for target, alternatives in self.h36m17.items():
            for level, recipe in enumerate(alternatives):
                for source, weight in recipe.items():
                    weights[level, _H36M17_JOINTS.index(target), self.index(source)] = weight
        return weights


def to_h36m17(xy: Array, score: Array, skeleton: Skeleton) -> tuple[Array, Array]:
    """Convert joints of `skeleton` to H36M-17; equal for NumPy arrays and torch tensors.

    xy (..., J, 2) px and score (..., J), 0: not seen -> (..., 17, 2) px and (..., 17). The score
    of an interpolated joint is the lowest of its sources; without sources, xy and score are 0.
    """
    xp = array_api_compat.array_namespace(xy, score)
    built, built_score = None, None
    for row in skeleton._conversion[::-1]:
        level_xy, level_score = _convert(xp, xy, score, row)
        if built is None:
            built, built_score = level_xy, level_score
        else:
            usable = level_score > 0
            built = xp.where(usable[..., None], level_xy, built)
            built_score = xp.where(usable, level_score, built_score)
    return built, built_score


def _convert(xp: Any, xy: Array, score: Array, weights: NDArray[np.float32]) -> tuple[Array, Array]:
    """One level of alternatives, joint by joint: unlike a matrix product, a plain weighted sum
    rounds the same for any number of frames."""
    columns_xy, columns_score = [], []
    for row in weights:
        parts = np.flatnonzero(row)
        if not len(parts):
            columns_xy.append(xp.zeros_like(xy[..., 0, :]))
            columns_score.append(xp.zeros_like(score[..., 0]))
            continue
        total = xy[..., int(parts[0]), :] * float(row[parts[0]])
        lowest = score[..., int(parts[0])]
        for part in parts[1:]:
            total = total + xy[..., int(part), :] * float(row[part])
            lowest = xp.minimum(lowest, score[..., int(part)])
        columns_xy.append(xp.where((lowest > 0)[..., None], total, xp.zeros_like(total)))
        columns_score.append(lowest)
    return xp.stack(columns_xy, axis=-2), xp.stack(columns_score, axis=-1)


def _other_side(name: str) -> str:
    if name.startswith("left_"):
        return "right_" + name.removeprefix("left_")
    if name.startswith("right_"):
        return "left_" + name.removeprefix("right_")
    return name


_H36M17_JOINTS = (
    *("hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("spine", "thorax", "neck_nose", "head"),
    *("left_shoulder", "left_elbow", "left_wrist"),
    *("right_shoulder", "right_elbow", "right_wrist"),
)

H36M17 = Skeleton(
    name="h36m17",
    joints=_H36M17_JOINTS,
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
    h36m17={name: [{name: 1.0}] for name in _H36M17_JOINTS},
)
