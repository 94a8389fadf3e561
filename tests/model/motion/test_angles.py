"""Joint angles: of bodies built with known ones, and what turning and mirroring leaves of them."""

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from model import ANGLES, H36M17, PoseSequence, VideoResult, joint_angles, write_motion

LEFT, UP, FORWARD = (np.array(axis, float) for axis in ((1, 0, 0), (0, -1, 0), (0, 0, -1)))
"""Of a person who faces an upright camera."""
SIDEWAYS = np.array([name in ("trunk_lateral_lean", "trunk_twist") for name in ANGLES])
TO_GRAVITY = np.array(["lean" in name for name in ANGLES])


def about(axis: NDArray[np.float64], degrees: float) -> Rotation:
    return Rotation.from_rotvec(np.radians(degrees) * axis)


def body(**angles: float) -> PoseSequence:
    """A standing person, then each limb turned by its angles (0 where not given)."""
    joints = {"hip": np.zeros(3), "spine": 0.2 * UP, "thorax": 0.45 * UP}
    joints |= {"neck_nose": 0.6 * UP, "head": 0.75 * UP}
    twist = about(UP, angles.get("trunk_twist", 0))
    for side, out in (("left", LEFT), ("right", -LEFT)):
        across = 1 if side == "left" else -1

        def limb(name: str, side: str = side, across: int = across) -> Rotation:
            raised = about(FORWARD, across * angles.get(f"{side}_{name}_abduction", 0))
            # out first, then forward about the axis through both hips, or shoulders
            return about(-LEFT, angles.get(f"{side}_{name}_flexion", 0)) * raised

        leg, arm = limb("hip"), twist * limb("shoulder")
        shank = leg * about(LEFT, angles.get(f"{side}_knee_flexion", 0))
        forearm = arm * about(-LEFT, angles.get(f"{side}_elbow_flexion", 0))
        joints[f"{side}_hip"] = 0.1 * out
        joints[f"{side}_knee"] = joints[f"{side}_hip"] + leg.apply(-0.45 * UP)
        joints[f"{side}_ankle"] = joints[f"{side}_knee"] + shank.apply(-0.4 * UP)
        joints[f"{side}_shoulder"] = 0.5 * UP + twist.apply(0.18 * out)
        joints[f"{side}_elbow"] = joints[f"{side}_shoulder"] + arm.apply(-0.3 * UP)
        joints[f"{side}_wrist"] = joints[f"{side}_elbow"] + forearm.apply(-0.25 * UP)
    lean = about(FORWARD, -angles.get("trunk_lateral_lean", 0))
    lean = about(-LEFT, -angles.get("trunk_lean", 0)) * lean
    xyz = np.stack([lean.apply(joints[name]) for name in H36M17.joints])
    return PoseSequence(np.float32(xyz)[None], 30)


def degrees(poses: PoseSequence) -> dict[str, float]:
    return dict(zip(ANGLES, joint_angles(poses)[0].tolist(), strict=True))


def test_a_person_who_stands_has_no_angles() -> None:
    np.testing.assert_allclose(joint_angles(body()), 0, atol=1e-3)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("limb", "flexion", "abduction"),
    [
        ("hip", 90, 0),
        ("hip", -20, 10),
        ("hip", 60, 35),
        ("shoulder", 120, 25),
        ("shoulder", -40, 60),
        ("shoulder", 20, -15),
    ],
)
def test_limbs_are_found_as_they_were_turned(
    side: str, limb: str, flexion: float, abduction: float
) -> None:
    given = {f"{side}_{limb}_flexion": flexion, f"{side}_{limb}_abduction": abduction}
    if limb == "shoulder":
        given |= {f"{side}_elbow_flexion": 75.0}
    else:
        given |= {f"{side}_knee_flexion": 50.0}
    found = degrees(body(**given))
    if limb == "shoulder":
        cosine = np.cos(np.radians(flexion)) * np.cos(np.radians(abduction))
        given[f"{side}_shoulder_elevation"] = float(np.degrees(np.arccos(cosine)))
    assert found == pytest.approx(dict.fromkeys(ANGLES, 0) | given, abs=1e-3)


@pytest.mark.parametrize("name", ["trunk_lean", "trunk_lateral_lean", "trunk_twist"])
@pytest.mark.parametrize("angle", [-30.0, 20.0])
def test_the_trunk_is_found_as_it_was_turned(name: str, angle: float) -> None:
    """To the front, to the person's left, and with the chest turned to their left, is positive."""
    found = degrees(body(**{name: angle}))
    assert found == pytest.approx(dict.fromkeys(ANGLES, 0) | {name: angle}, abs=1e-3)


def test_straight_sideways_is_neither_forward_nor_back() -> None:
    found = degrees(body(left_shoulder_abduction=90, right_shoulder_abduction=75))
    assert np.isnan(found["left_shoulder_flexion"])
    assert found["right_shoulder_flexion"] == pytest.approx(0, abs=1e-3)
    assert found["left_shoulder_abduction"] == pytest.approx(90)
    assert found["left_shoulder_elevation"] == pytest.approx(90)


def test_joints_in_one_place_have_no_angles() -> None:
    assert np.isnan(joint_angles(PoseSequence(np.zeros((2, 17, 3), np.float32), 30))).all()


def turned(poses: PoseSequence, rotation: Rotation) -> PoseSequence:
    xyz = rotation.apply(poses.xyz.reshape(-1, 3)).reshape(poses.xyz.shape)
    return PoseSequence(np.float32(xyz), poses.fps)


def test_another_camera_sees_the_same_angles(real_result: VideoResult) -> None:
    for person in real_result.people:
        expected = joint_angles(person.poses)
        beside = joint_angles(turned(person.poses, about(UP, 70)))
        np.testing.assert_allclose(beside, expected, atol=0.01)
        tilted = joint_angles(turned(person.poses, Rotation.random(rng=3)))
        np.testing.assert_allclose(tilted[:, ~TO_GRAVITY], expected[:, ~TO_GRAVITY], atol=0.01)


def mirrored(poses: PoseSequence) -> PoseSequence:
    flipped = poses.xyz[:, list(H36M17.mirror)] * np.float32((-1, 1, 1))
    return PoseSequence(flipped, poses.fps)


def test_a_mirror_swaps_the_sides(real_result: VideoResult) -> None:
    twins = {"left": "right", "right": "left"}
    sides = [name.partition("_") for name in ANGLES]
    swapped = [ANGLES.index(twins.get(side, side) + "_" + rest) for side, _, rest in sides]
    for person in real_result.people:
        expected = joint_angles(person.poses)[:, swapped] * np.where(SIDEWAYS, -1, 1)
        np.testing.assert_allclose(joint_angles(mirrored(person.poses)), expected, atol=1e-3)
        twice = joint_angles(mirrored(mirrored(person.poses)))
        np.testing.assert_array_equal(twice, joint_angles(person.poses))


def test_angles_as_csv(gappy_result: VideoResult, tmp_path: Path) -> None:
    path = tmp_path / "angles.csv"
    write_motion(gappy_result, "angles", path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = np.array([[float(row[f"{name}_deg"] or "nan") for name in ANGLES] for row in rows])
    first, second = gappy_result.people
    expected = np.concatenate([joint_angles(first.poses), joint_angles(second.poses)])
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert [int(row["person"]) for row in rows] == [1] * 55 + [2]
    assert [int(row["frame"]) for row in rows] == [*first.frames, *second.frames]
    times_s = [float(row["time_s"]) for row in rows]
    np.testing.assert_allclose(times_s, [*first.times_s, *second.times_s], atol=1e-6)
