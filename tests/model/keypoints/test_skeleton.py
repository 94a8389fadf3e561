"""Joint sets and the conversion to Human3.6M's 17 joints."""

import numpy as np
import pytest
import torch

from model import (
    AIC14,
    COCO17,
    H36M17,
    HALPE26,
    SKELETONS,
    WHOLEBODY133,
    UnknownName,
    skeleton_named,
    to_h36m17,
)

NAMES = sorted(SKELETONS)


@pytest.mark.parametrize("name", NAMES)
def test_parents_form_a_tree_and_mirror_swaps_sides(name: str) -> None:
    skeleton = skeleton_named(name)
    assert [skeleton.mirror[m] for m in skeleton.mirror] == list(range(len(skeleton.joints)))
    for joint, other in enumerate(skeleton.mirror):
        assert ("left" in skeleton.joints[joint]) == ("right" in skeleton.joints[other])
    for joint in range(len(skeleton.joints)):
        steps = 0
        while skeleton.parents[joint] >= 0:
            joint, steps = skeleton.parents[joint], steps + 1
            assert steps <= len(skeleton.joints)
        assert joint == skeleton.root


@pytest.mark.parametrize("name", NAMES)
def test_recipes_cover_h36m17_and_their_weights_sum_to_one(name: str) -> None:
    recipes = skeleton_named(name).h36m17
    assert set(recipes) == set(H36M17.joints)
    for alternatives in recipes.values():
        for recipe in alternatives:
            assert sum(recipe.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", NAMES)
def test_conversion_of_mirrored_joints_is_mirrored(name: str, rng: np.random.Generator) -> None:
    skeleton = skeleton_named(name)
    xy = rng.normal(size=(6, len(skeleton.joints), 2)).astype(np.float32)
    score = rng.uniform(0.1, 1, xy.shape[:2]).astype(np.float32)
    there, there_score = to_h36m17(
        xy[:, list(skeleton.mirror)], score[:, list(skeleton.mirror)], skeleton
    )
    back, back_score = to_h36m17(xy, score, skeleton)
    np.testing.assert_allclose(there, back[:, list(H36M17.mirror)], atol=1e-6)
    np.testing.assert_array_equal(there_score, back_score[:, list(H36M17.mirror)])


@pytest.mark.parametrize("name", NAMES)
def test_conversion_is_equal_in_torch_and_numpy(name: str, rng: np.random.Generator) -> None:
    skeleton = skeleton_named(name)
    xy = rng.normal(size=(4, len(skeleton.joints), 2)).astype(np.float32)
    score = rng.choice([0, 0.5, 1], xy.shape[:2]).astype(np.float32)
    ours, ours_score = to_h36m17(xy, score, skeleton)
    theirs, theirs_score = to_h36m17(torch.from_numpy(xy), torch.from_numpy(score), skeleton)
    np.testing.assert_array_equal(ours, theirs.numpy())
    np.testing.assert_array_equal(ours_score, theirs_score.numpy())


def test_coco17_interpolated_joints_and_scores() -> None:
    xy = np.zeros((1, 17, 2), np.float32)
    for name, place in {
        "left_hip": (10, 100),
        "right_hip": (-10, 100),
        "left_shoulder": (18, 50),
        "right_shoulder": (-18, 50),
        "left_ear": (7, 30),
        "right_ear": (-7, 30),
    }.items():
        xy[0, COCO17.index(name)] = place
    score = np.full((1, 17), 0.9, np.float32)
    score[0, COCO17.index("left_hip")] = 0.4
    built, built_score = to_h36m17(xy, score, COCO17)
    y = {name: built[0, H36M17.index(name), 1] for name in H36M17.joints}
    assert y["hip"] == 100
    assert y["spine"] == pytest.approx(100 - 0.42 * 50)
    assert y["thorax"] == pytest.approx(100 - 0.886 * 50)
    assert y["neck_nose"] == pytest.approx(50 - 0.90 * 20)
    assert y["head"] == pytest.approx(50 - 1.45 * 20)
    assert built_score[0, H36M17.index("hip")] == np.float32(0.4)
    assert built_score[0, H36M17.index("head")] == np.float32(0.9)


def test_hidden_ear_has_an_alternative_and_hidden_hip_has_none() -> None:
    xy = np.ones((1, 17, 2), np.float32)
    score = np.ones((1, 17), np.float32)
    score[0, [COCO17.index("left_ear"), COCO17.index("left_hip")]] = 0
    built, built_score = to_h36m17(xy, score, COCO17)
    assert built_score[0, H36M17.index("head")] == 1
    for name in ("hip", "left_hip", "spine", "thorax"):
        assert built_score[0, H36M17.index(name)] == 0
        assert (built[0, H36M17.index(name)] == 0).all()


def test_halpe26_uses_its_own_hip_and_neck_when_a_side_is_hidden() -> None:
    xy = np.full((1, 26, 2), 5, np.float32)
    score = np.ones((1, 26), np.float32)
    score[0, [HALPE26.index("left_hip"), HALPE26.index("right_shoulder")]] = 0
    _, built_score = to_h36m17(xy, score, HALPE26)
    assert built_score[0, H36M17.index("hip")] == 1
    assert built_score[0, H36M17.index("spine")] == 1


def test_wholebody133_converts_as_its_first_17_joints_in_coco17(rng: np.random.Generator) -> None:
    assert len(WHOLEBODY133.joints) == 133 and WHOLEBODY133.joints[:17] == COCO17.joints
    xy = rng.normal(size=(3, 133, 2)).astype(np.float32)
    score = rng.choice([0, 1], (3, 133)).astype(np.float32)
    whole = to_h36m17(xy, score, WHOLEBODY133)
    for actual, expected in zip(whole, to_h36m17(xy[:, :17], score[:, :17], COCO17), strict=True):
        np.testing.assert_array_equal(actual, expected)
    for name, right, left in (("face", 23, 39), ("hand", 91, 112), ("eyelid", 59, 68)):
        assert WHOLEBODY133.mirror[right] == left, name
    assert WHOLEBODY133.parents[112:118] == (10, 112, 113, 114, 115, 112)


def test_aic14_head_is_interpolated_from_head_top() -> None:
    xy = np.zeros((1, 14, 2), np.float32)
    xy[0, AIC14.index("head_top"), 1] = -180
    built, _ = to_h36m17(xy, np.ones((1, 14), np.float32), AIC14)
    assert built[0, H36M17.index("neck_nose"), 1] == pytest.approx(-90)
    assert built[0, H36M17.index("head"), 1] == pytest.approx(-145)


def test_unknown_skeleton_lists_known_names() -> None:
    with pytest.raises(UnknownName, match="coco17"):
        skeleton_named("coco18")
