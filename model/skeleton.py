"""Joint sets, and the one conversion that turns any of them into Human3.6M's 17 joints.

The lifter reads and answers H36M-17. Other joint sets lack some of its joints (pelvis, spine,
thorax, neck/nose, head); those are built from the joints that are there. The weights below put a
built joint where the training bodies have it: along mid-hip -> mid-shoulder, their spine lies at
0.42 and their thorax at 0.886; the base of the skull lies just below the ears, and the end of the
head bone above them by 0.45 of the distance from shoulders to ears. Training makes its own 2D
through this same conversion, so the network meets what it was trained on.
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
"""A NumPy array or a torch tensor: training runs the same geometry on its own device."""

Recipe = Mapping[str, float]
"""Source joint -> weight; the weights sum to 1."""


@dataclass(frozen=True)
class Skeleton:
    """Named joints, their parents (-1 for none) and, per joint, the alternatives that build
    H36M-17 from them: of each list, the first whose joints are all seen is used.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    h36m17: Mapping[str, Sequence[Recipe]]

    def __post_init__(self) -> None:
        if len(self.parents) != len(self.joints):
            raise InvalidInput(
                f"skeleton {self.name}: {len(self.joints)} joints but {len(self.parents)} parents"
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
        """For each joint, the index of its twin on the other side (itself if it has none)."""
        return tuple(self.index(_other_side(name)) for name in self.joints)

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) pairs."""
        return tuple((p, c) for c, p in enumerate(self.parents) if p >= 0)

    @cached_property
    def _conversion(self) -> NDArray[np.float32]:
        """Weights (A, 17, J) of the A alternatives; a row of zeros is no alternative."""
        depth = max(len(alternatives) for alternatives in self.h36m17.values())
        weights = np.zeros((depth, len(_H36M17_JOINTS), len(self.joints)), np.float32)
        for target, alternatives in self.h36m17.items():
            for level, recipe in enumerate(alternatives):
                for source, weight in recipe.items():
                    weights[level, _H36M17_JOINTS.index(target), self.index(source)] = weight
        return weights


def to_h36m17(xy: Array, score: Array, skeleton: Skeleton) -> tuple[Array, Array]:
    """Turn joints of `skeleton` into H36M-17.

    xy (..., J, 2) px and score (..., J), where score 0 means not seen -> (..., 17, 2) px and
    (..., 17). A built joint's score is the least of its parts'; a joint that cannot be built is
    at 0 with score 0. Works alike on NumPy arrays and torch tensors.
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
    """One level of alternatives, joint by joint: a plain weighted sum, whose rounding does not
    depend on how many frames are converted at once (a matrix product's may)."""
    columns_xy, columns_score = [], []
    for row in weights:
        parts = np.flatnonzero(row)
        if not len(parts):
            columns_xy.append(xp.zeros_like(xy[..., 0, :]))
            columns_score.append(xp.zeros_like(score[..., 0]))
            continue
        total = xy[..., int(parts[0]), :] * float(row[parts[0]])
        least = score[..., int(parts[0])]
        for part in parts[1:]:
            total = total + xy[..., int(part), :] * float(row[part])
            least = xp.minimum(least, score[..., int(part)])
        columns_xy.append(xp.where((least > 0)[..., None], total, xp.zeros_like(total)))
        columns_score.append(least)
    return xp.stack(columns_xy, axis=-2), xp.stack(columns_score, axis=-1)


def _other_side(name: str) -> str:
    if name.startswith("left_"):
        return "right_" + name.removeprefix("left_")
    if name.startswith("right_"):
        return "left_" + name.removeprefix("right_")
    return name


def _mix(*parts: tuple[float, Recipe]) -> Recipe:
    """Weighted sum of recipes."""
    total: dict[str, float] = {}
    for weight, recipe in parts:
        for joint, share in recipe.items():
            total[joint] = total.get(joint, 0.0) + weight * share
    return total


def _along(start: Recipe, end: Recipe, share: float) -> Recipe:
    """The point at `share` of the way from `start` (0) to `end` (1); beyond it above 1."""
    return _mix((1 - share, start), (share, end))


def _middle(name: str) -> Recipe:
    return {f"left_{name}": 0.5, f"right_{name}": 0.5}


def _recipes(
    hip: Sequence[Recipe], shoulders: Sequence[Recipe], ears: Sequence[Recipe]
) -> dict[str, list[Recipe]]:
    """H36M-17 from limbs that carry the same names, and alternatives for three middles."""
    trunks = list(zip(hip, shoulders, strict=True))
    heads = [(shoulders[0], ear) for ear in ears]
    recipes: dict[str, list[Recipe]] = {
        "hip": list(hip),
        "spine": [_along(h, s, 0.42) for h, s in trunks],
        "thorax": [_along(h, s, 0.886) for h, s in trunks],
        "neck_nose": [_along(s, e, 0.90) for s, e in heads],
        "head": [_along(s, e, 1.45) for s, e in heads],
    }
    for side in ("left", "right"):
        for limb in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
            recipes[f"{side}_{limb}"] = [{f"{side}_{limb}": 1.0}]
    return recipes


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

_FACE = (_middle("ear"), {"left_ear": 1.0}, {"right_ear": 1.0}, {"nose": 1.0})
"""Where the ears are: between them; one of them; the nose, when a face is all that is seen."""

_COCO17_JOINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
    *("left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
_COCO17_PARENTS = (-1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14)

COCO17 = Skeleton(
    name="coco17",
    joints=_COCO17_JOINTS,
    parents=_COCO17_PARENTS,
    h36m17=_recipes([_middle("hip")], [_middle("shoulder")], _FACE),
)

HALPE26 = Skeleton(
    name="halpe26",
    joints=(
        *_COCO17_JOINTS,
        *("head_top", "neck", "hip", "left_big_toe", "right_big_toe"),
        *("left_small_toe", "right_small_toe", "left_heel", "right_heel"),
    ),
    parents=(*_COCO17_PARENTS, 0, 0, 18, 15, 16, 15, 16, 15, 16),
    h36m17=_recipes([_middle("hip"), {"hip": 1.0}], [_middle("shoulder"), {"neck": 1.0}], _FACE),
)

BODY25 = Skeleton(
    name="body25",
    joints=(
        *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist"),
        *("left_shoulder", "left_elbow", "left_wrist", "hip"),
        *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
        *("right_eye", "left_eye", "right_ear", "left_ear"),
        *("left_big_toe", "left_small_toe", "left_heel"),
        *("right_big_toe", "right_small_toe", "right_heel"),
    ),
    parents=(
        *(1, 8, 1, 2, 3, 1, 5, 6, -1, 8, 9, 10, 8, 12, 13),
        *(0, 0, 15, 16, 14, 14, 14, 11, 11, 11),
    ),
    h36m17=_recipes([_middle("hip"), {"hip": 1.0}], [_middle("shoulder"), {"neck": 1.0}], _FACE),
)

BLAZEPOSE33 = Skeleton(
    name="blazepose33",
    joints=(
        *("nose", "left_eye_inner", "left_eye", "left_eye_outer"),
        *("right_eye_inner", "right_eye", "right_eye_outer", "left_ear", "right_ear"),
        *("left_mouth", "right_mouth", "left_shoulder", "right_shoulder"),
        *("left_elbow", "right_elbow", "left_wrist", "right_wrist"),
        *("left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb"),
        *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
        *("left_heel", "right_heel", "left_foot_index", "right_foot_index"),
    ),
    parents=(
        *(-1, 0, 1, 2, 0, 4, 5, 3, 6, 0, 0, 0, 0, 11, 12, 13, 14),
        *(15, 16, 15, 16, 15, 16, 11, 12, 23, 24, 25, 26, 27, 28, 27, 28),
    ),
    h36m17=_recipes([_middle("hip")], [_middle("shoulder")], _FACE),
)

SKELETONS: Mapping[str, Skeleton] = {
    s.name: s for s in (H36M17, COCO17, BLAZEPOSE33, HALPE26, BODY25)
}


def skeleton_named(name: str) -> Skeleton:
    """The joint set of that name; raises UnknownName."""
    try:
        return SKELETONS[name]
    except KeyError:
        raise UnknownName("skeleton", name, SKELETONS) from None
