"""The supported 2D joint sets, and how each is converted to Human3.6M's 17 joints.

No set has every joint of H36M-17, so pelvis, spine, thorax, neck/nose and head are interpolated at
the places they have in the training bodies: on the line mid-hip (0) to mid-shoulder (1), the spine
at 0.42 and the thorax at 0.886; on the line mid-shoulder (0) to ears (1), the neck/nose (base of
the skull) at 0.90, the head at 1.45 and the top of the head, used by sets without ears, at 1.8.
"""

from collections.abc import Mapping, Sequence

from model.errors import UnknownName
from model.keypoints.skeleton import H36M17, Recipe, Skeleton


def _mix(*parts: tuple[float, Recipe]) -> Recipe:
    """Weighted sum of recipes."""
    total: dict[str, float] = {}
    for weight, recipe in parts:
        for joint, share in recipe.items():
            total[joint] = total.get(joint, 0.0) + weight * share
    return total


def _along(start: Recipe, end: Recipe, share: float) -> Recipe:
    """The point at `share` of the way from `start` (0) to `end` (1); extrapolates above 1."""
    return _mix((1 - share, start), (share, end))


def _middle(name: str) -> Recipe:
    return {f"left_{name}": 0.5, f"right_{name}": 0.5}


def _recipes(
    hip: Sequence[Recipe],
    shoulders: Sequence[Recipe],
    ears: Sequence[Recipe],
    ears_at: float = 1.0,
) -> dict[str, list[Recipe]]:
    """Recipes of H36M-17: limb joints by the same name, the others from alternative hip, shoulder
    and ear points. `ears_at` is where the `ears` points are on the line shoulders (0) to ears (1).
    """
    trunks = list(zip(hip, shoulders, strict=True))
    heads = [(shoulders[0], ear) for ear in ears]
    recipes: dict[str, list[Recipe]] = {
        "hip": list(hip),
        "spine": [_along(h, s, 0.42) for h, s in trunks],
        "thorax": [_along(h, s, 0.886) for h, s in trunks],
        "neck_nose": [_along(s, e, 0.90 / ears_at) for s, e in heads],
        "head": [_along(s, e, 1.45 / ears_at) for s, e in heads],
    }
    for side in ("left", "right"):
        for limb in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
            recipes[f"{side}_{limb}"] = [{f"{side}_{limb}": 1.0}]
    return recipes


_FACE = (_middle("ear"), {"left_ear": 1.0}, {"right_ear": 1.0}, {"nose": 1.0})
"""The point between the ears, else one ear, else the nose."""

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

_SIDES = ("left", "right")
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")

_FACE68_JOINTS = (
    *(f"right_jaw_{i}" for i in range(8)),
    *("chin", *(f"left_jaw_{i}" for i in reversed(range(8)))),
    *(f"right_brow_{i}" for i in range(5)),
    *(f"left_brow_{i}" for i in reversed(range(5))),
    *(f"nose_bridge_{i}" for i in range(4)),
    *("right_nostril_0", "right_nostril_1", "nose_base", "left_nostril_1", "left_nostril_0"),
    *(f"right_eyelid_{i}" for i in range(6)),
    *(f"left_eyelid_{i}" for i in (3, 2, 1, 0, 5, 4)),
    *("right_lip_0", "right_lip_1", "right_lip_2", "upper_lip"),
    *("left_lip_2", "left_lip_1", "left_lip_0", "left_lip_3", "left_lip_4"),
    *("lower_lip", "right_lip_4", "right_lip_3"),
    *("right_lip_inner_0", "right_lip_inner_1", "upper_lip_inner"),
    *("left_lip_inner_1", "left_lip_inner_0", "left_lip_inner_2"),
    *("lower_lip_inner", "right_lip_inner_2"),
)
"""The 68-point face: jaw from the right ear, brows, nose, eyelids, mouth."""


def _hand_joints(side: str) -> tuple[str, ...]:
    knuckles = (f"{side}_{finger}{i}" for finger in _FINGERS for i in (1, 2, 3, 4))
    return (f"{side}_hand_root", *knuckles)


def _hand_parents(root: int, wrist: int) -> tuple[int, ...]:
    """Each finger is a chain of four joints from the root of the hand."""
    return (wrist, *(root + i if i % 4 else root for i in range(20)))


WHOLEBODY133 = Skeleton(
    name="wholebody133",
    joints=(
        *_COCO17_JOINTS,
        *(f"{side}_{part}" for side in _SIDES for part in ("big_toe", "small_toe", "heel")),
        *_FACE68_JOINTS,
        *(joint for side in _SIDES for joint in _hand_joints(side)),
    ),
    parents=(
        *(*_COCO17_PARENTS, 15, 15, 15, 16, 16, 16, *[0] * len(_FACE68_JOINTS)),
        *(*_hand_parents(91, wrist=9), *_hand_parents(112, wrist=10)),
    ),
    h36m17=_recipes([_middle("hip")], [_middle("shoulder")], _FACE),
)

_HEAD_TOP_AT = 1.8
"""In shoulder-to-ear distances."""

AIC14 = Skeleton(
    name="aic14",
    joints=(
        *("right_shoulder", "right_elbow", "right_wrist"),
        *("left_shoulder", "left_elbow", "left_wrist"),
        *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
        *("head_top", "neck"),
    ),
    parents=(13, 0, 1, 13, 3, 4, 13, 6, 7, 13, 9, 10, 13, -1),
    h36m17=_recipes(
        [_middle("hip")], [_middle("shoulder")], [{"head_top": 1.0}], ears_at=_HEAD_TOP_AT
    ),
)

CROWDPOSE14 = Skeleton(
    name="crowdpose14",
    joints=(
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
        *("left_wrist", "right_wrist", "left_hip", "right_hip"),
        *("left_knee", "right_knee", "left_ankle", "right_ankle", "head_top", "neck"),
    ),
    parents=(13, 13, 0, 1, 2, 3, 13, 13, 6, 7, 8, 9, 13, -1),
    h36m17=_recipes(
        [_middle("hip")], [_middle("shoulder")], [{"head_top": 1.0}], ears_at=_HEAD_TOP_AT
    ),
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
    s.name: s
    for s in (
        *(H36M17, COCO17, BLAZEPOSE33, HALPE26, BODY25),
        *(WHOLEBODY133, AIC14, CROWDPOSE14),
    )
}


def skeleton_named(name: str) -> Skeleton:
    """The joint set of that name; raises UnknownName."""
    try:
        return SKELETONS[name]
    except KeyError:
        raise UnknownName("skeleton", name, SKELETONS) from None
