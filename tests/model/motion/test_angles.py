"""Joint angles: of bodies built with known angles, and under rotation and mirroring."""

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from model import ANGLES, H36M17, PoseSequence, VideoResult, joint_angles, write_motion

LEFT, UP, FORWARD = (np.array(axis, float) for axis in ((1, 0, 0), (0, -1, 0), (0, 0, -1)))
"""Directions of a person who faces an upright camera."""
SIDEWAYS = np.array([name in ("trunk_lateral_lean", "trunk_twist") for name in ANGLES])
TO_GRAVITY = np.array(["lean" in name for name in ANGLES])


def about(axis: NDArray[np.float64], degrees: float) -> Rotation:
    return Rotation.from_rotvec(np.radians(degrees) * axis)


def body(**angles: float) -> PoseSequence:
    """A standing person with limbs and trunk turned by these angles, degrees (default 0)."""
    joints = {"hip": np.zeros(3), "spine": 0.2 * UP, "thorax": 0.45 * UP}
    joints |= {"neck_nose": 0.6 * UP, "head": 0.75 * UP}
    twist = about(UP, angles.get("trunk_twist", 0))
    for side, out in (("left", LEFT), ("right", -LEFT)):
        across = 1 if side == "left" else -1

        def limb(name: str, side: str = side, across: int = across) -> Rotation:
            raised = about(FORWARD, across * angles.get(f"{side}_{name}_abduction", 0))
            # abduction first, then flexion about the axis through both hips or shoulders
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


def test_all_angles_of_a_standing_person_are_zero() -> None:
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
def test_limb_angles_match_the_body_built_from_them(
    side: str, limb: str, flexion: float, abduction: float
) -> None:
    expected = {f"{side}_{limb}_flexion": flexion, f"{side}_{limb}_abduction": abduction}
    if limb == "shoulder":
        expected |= {f"{side}_elbow_flexion": 75.0}
    else:
        expected |= {f"{side}_knee_flexion": 50.0}
    angles = degrees(body(**expected))
    if limb == "shoulder":
        cosine = np.cos(np.radians(flexion)) * np.cos(np.radians(abduction))
        expected[f"{side}_shoulder_elevation"] = float(np.degrees(np.arccos(cosine)))
    assert angles == pytest.approx(dict.fromkeys(ANGLES, 0) | expected, abs=1e-3)


@pytest.mark.parametrize("name", ["trunk_lean", "trunk_lateral_lean", "trunk_twist"])
@pytest.mark.parametrize("angle", [-30.0, 20.0])
def test_trunk_angles_match_the_body_built_from_them(name: str, angle: float) -> None:
    """Positive: leaning forward, leaning to the left, chest turned to the left."""
    angles = degrees(body(**{name: angle}))
    assert angles == pytest.approx(dict.fromkeys(ANGLES, 0) | {name: angle}, abs=1e-3)


def test_flexion_is_nan_for_a_limb_straight_sideways() -> None:
    angles = degrees(body(left_shoulder_abduction=90, right_shoulder_abduction=75))
    assert np.isnan(angles["left_shoulder_flexion"])
    assert angles["right_shoulder_flexion"] == pytest.approx(0, abs=1e-3)
    assert angles["left_shoulder_abduction"] == pytest.approx(90)
    assert angles["left_shoulder_elevation"] == pytest.approx(90)


def test_angles_of_coincident_joints_are_nan() -> None:
    assert np.isnan(joint_angles(PoseSequence(np.zeros((2, 17, 3), np.float32), 30))).all()


def turned(poses: PoseSequence, rotation: Rotation) -> PoseSequence:
    xyz = rotation.apply(poses.xyz.reshape(-1, 3)).reshape(poses.xyz.shape)
    return PoseSequence(np.float32(xyz), poses.fps)


def test_angles_do_not_depend_on_the_camera(real_result: VideoResult) -> None:
    for person in real_result.people:
        expected = joint_angles(person.poses)
        turned_aside = joint_angles(turned(person.poses, about(UP, 70)))
        np.testing.assert_allclose(turned_aside, expected, atol=0.01)
        tilted = joint_angles(turned(person.poses, Rotation.random(rng=3)))
        np.testing.assert_allclose(tilted[:, ~TO_GRAVITY], expected[:, ~TO_GRAVITY], atol=0.01)


def mirrored(poses: PoseSequence) -> PoseSequence:
    flipped = poses.xyz[:, list(H36M17.mirror)] * np.float32((-1, 1, 1))
    return PoseSequence(flipped, poses.fps)


def test_mirroring_swaps_the_sides(real_result: VideoResult) -> None:
    opposite = {"left": "right", "right": "left"}
    sides = [name.partition("_") for name in ANGLES]
    swapped = [ANGLES.index(opposite.get(side, side) + "_" + rest) for side, _, rest in sides]
    for person in real_result.people:
        expected = joint_angles(person.poses)[:, swapped] * np.where(SIDEWAYS, -1, 1)
        np.testing.assert_allclose(joint_angles(mirrored(person.poses)), expected, atol=1e-3)
        twice = joint_angles(mirrored(mirrored(person.poses)))
        np.testing.assert_array_equal(twice, joint_angles(person.poses))


def test_angles_csv_holds_all_people_and_frames(gappy_result: VideoResult, tmp_path: Path) -> None:
    path = tmp_path / "angles.csv"
    write_motion(gappy_result, "angles", path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    angles = np.array([[float(row[f"{name}_deg"] or "nan") for name in ANGLES] for row in rows])
    first, second = gappy_result.people
    expected = np.concatenate([joint_angles(first.poses), joint_angles(second.poses)])
    np.testing.assert_allclose(angles, expected, atol=1e-3)
    assert [int(row["person"]) for row in rows] == [1] * 55 + [2]
    assert [int(row["frame"]) for row in rows] == [*first.frames, *second.frames]
    times_s = [float(row["time_s"]) for row in rows]
    np.testing.assert_allclose(times_s, [*first.times_s, *second.times_s], atol=1e-6)
