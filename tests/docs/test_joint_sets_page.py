"""docs/joint-sets.md says what model/joint_sets.py does. Run this file to write the page anew."""

from collections.abc import Iterator

from model import H36M17, SKELETONS, Skeleton
from model.keypoints.skeleton import Recipe
from paths import ROOT

PAGE = ROOT / "docs" / "joint-sets.md"

INTRODUCTION = """\
# Joint sets

The lifter reads and answers Human3.6M's 17 joints. Keypoints in another set are converted first, by
the one function `to_h36m17` that training uses too. This page is made from `model/joint_sets.py`; a
test keeps the two equal (`python tests/test_joint_sets_page.py` writes it anew).

Left and right are the person's own. A joint that exists on both sides is taken as it is. Hip (the
pelvis), spine, thorax, neck/nose and head exist in hardly any other set and are built from what is
there: `mid` is the middle of left and right, a number is a weight, and the weights of a formula
sum to 1. Where a joint has several formulas, the first one whose parts are all seen (score above 0)
is used; "used for" has in brackets what only a later formula wants. A built joint's score is the
least of its parts'; one that cannot be built counts as not seen.

Why these weights: the motion capture that the weights were trained on has its spine at 0.42 and its
thorax at 0.886 of the way from the middle of the hips to the middle of the shoulders, the base of
the skull just below the ears, and the end of the head bone above them. Where a set has no ears, the
top of the head stands for them: it lies at 1.8 of the distance from the shoulders to the ears.
"""


def page() -> str:
    return "\n".join([INTRODUCTION, *_h36m17(), *(line for s in _others() for line in _set(s))])


def _others() -> Iterator[Skeleton]:
    return (skeleton for skeleton in SKELETONS.values() if skeleton is not H36M17)


def _h36m17() -> Iterator[str]:
    yield "## h36m17\n"
    yield "| index | joint | parent | mirrored |\n|---|---|---|---|"
    for index, name in enumerate(H36M17.joints):
        parent = H36M17.parents[index]
        above = "" if parent < 0 else f"{parent} {H36M17.joints[parent]}"
        yield f"| {index} | {name} | {above} | {H36M17.mirror[index]} |"
    yield ""


def _set(skeleton: Skeleton) -> Iterator[str]:
    yield f"## {skeleton.name}\n"
    yield "| index | joint | parent | used for |\n|---|---|---|---|"
    for index, name in enumerate(skeleton.joints):
        parent = skeleton.parents[index]
        above = "" if parent < 0 else f"{parent} {skeleton.joints[parent]}"
        yield f"| {index} | {name} | {above} | {', '.join(_uses(skeleton, name))} |"
    yield "\n| H36M-17 | from |\n|---|---|"
    for index, target in enumerate(H36M17.joints):
        formulas = "<br>else ".join(formula(recipe) for recipe in skeleton.h36m17[target])
        yield f"| {index} {target} | {formulas} |"
    yield ""


def _uses(skeleton: Skeleton, name: str) -> Iterator[str]:
    """The H36M-17 joints that a joint goes into; in brackets by a later formula only."""
    for target in H36M17.joints:
        first, *later = skeleton.h36m17[target]
        if name in first:
            yield target
        elif any(name in recipe for recipe in later):
            yield f"({target})"


def formula(recipe: Recipe) -> str:
    """Weights and joints as a sum, a left and a right of equal weight as their middle."""
    terms: list[tuple[float, str]] = []
    for joint, weight in recipe.items():
        side, _, bare = joint.partition("_")
        twin = recipe.get({"left": "right_", "right": "left_"}.get(side, "?") + bare)
        if twin != weight:
            terms.append((weight, joint))
        elif side == "left":
            terms.append((2 * weight, f"mid {bare}"))
    shown = " + ".join(joint if w == 1 else f"{round(w, 3):g} {joint}" for w, joint in terms)
    return shown.replace("+ -", "- ")


def test_the_page_is_the_code() -> None:
    assert PAGE.read_text() == page(), "run: python tests/test_joint_sets_page.py"


def test_formulas() -> None:
    assert formula({"left_hip": 0.5, "right_hip": 0.5}) == "mid hip"
    assert formula({"left_ear": 1.0}) == "left_ear"
    trunk = {"hip": 0.58, "left_shoulder": 0.21, "right_shoulder": 0.21}
    assert formula(trunk) == "0.58 hip + 0.42 mid shoulder"
    assert formula({"nose": 1.45, "neck": -0.45}) == "1.45 nose - 0.45 neck"


if __name__ == "__main__":
    PAGE.write_text(page())
