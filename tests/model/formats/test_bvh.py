"""BVH, read back by pybvh: its forward kinematics gives the poses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pybvh
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from axes import y_up
from model import PersonMotion, PoseSequence, VideoResult, write_motion
from model.formats.rig import NODES, rest_direction, rig
from model.keypoints.skeleton import H36M17
from model.motion.limbs import constant_limbs

ENDS = {"right_knee": "right_ankle", "left_knee": "left_ankle", "neck_nose": "head"}
ENDS |= {"left_elbow": "left_wrist", "right_elbow": "right_wrist"}


def joints_of(path: Path) -> NDArray[np.float64]:
    """By pybvh's forward kinematics: (T, 17, 3) in the order of H36M-17."""
    bvh = pybvh.read_bvh_file(path, world_up="+y")
    names = [
        ENDS[node.parent.name] if node.is_end_site() else node.name
        for node in bvh.nodes  # type: ignore[attr-defined]
    ]
    positions = bvh.node_positions()
    return np.stack([positions[:, names.index(joint)] for joint in H36M17.joints], axis=1)


def written(person: PersonMotion, result: VideoResult, path: Path) -> Path:
    write_motion(replace(result, people=(person,)), "bvh", path)
    return path


@pytest.mark.parametrize("space", ["root", "world"])
def test_bvh_joints_match_poses_with_constant_limbs(
    space: str, real_result: VideoResult, tmp_path: Path
) -> None:
    for person in real_result.in_space(space).people:
        path = written(person, real_result, tmp_path / "poses.bvh")
        bvh = pybvh.read_bvh_file(path, world_up="+y")
        assert bvh.frame_count == 75
        assert bvh.fps == pytest.approx(30, rel=1e-6)
        assert bvh.root.name == "hip"
        joints = joints_of(path)
        np.testing.assert_allclose(joints, y_up(constant_limbs(person.poses)), atol=1e-4)
        distance_m = np.linalg.norm(joints - y_up(person.poses), axis=-1)
        assert distance_m.mean() < 0.01


def test_recorded_motion_is_reproduced_within_a_centimetre(
    real_result: VideoResult, recorded: PersonMotion, tmp_path: Path
) -> None:
    joints = joints_of(written(recorded, real_result, tmp_path / "poses.bvh"))
    assert np.linalg.norm(joints - y_up(recorded.poses), axis=-1).max() < 0.01


def test_gaps_are_interpolated_evenly(gappy_result: VideoResult, tmp_path: Path) -> None:
    person = gappy_result.people[0]
    path = written(person, gappy_result, tmp_path / "poses.bvh")
    joints = joints_of(path)
    assert len(joints) == 75
    np.testing.assert_allclose(joints[person.frames], y_up(constant_limbs(person.poses)), atol=1e-4)
    steps = np.linalg.norm(np.diff(joints[19:41], axis=0), axis=-1)
    assert steps.max() < 3 * steps.mean(axis=0).max()


def test_bvh_of_one_frame(gappy_result: VideoResult, tmp_path: Path) -> None:
    person = gappy_result.people[1]
    joints = joints_of(written(person, gappy_result, tmp_path / "poses.bvh"))
    assert len(joints) == 75  # held over the whole video
    expected = np.repeat(y_up(person.poses), 75, axis=0)
    np.testing.assert_allclose(joints, expected, atol=1e-4)


@pytest.mark.parametrize("turn", [(0, 0, 0), (90, 0, 0), (180, 0, 0), (0, 90, 0), (0, 0, 180)])
def test_bvh_of_lying_and_inverted_people(
    turn: tuple[float, ...], real_result: VideoResult, tmp_path: Path
) -> None:
    person = real_result.people[1]
    turned = Rotation.from_euler("xyz", turn, degrees=True).apply(person.poses.xyz.reshape(-1, 3))
    poses = replace(person.poses, xyz=turned.reshape(-1, 17, 3).astype(np.float32))
    person = replace(person, poses=poses)
    joints = joints_of(written(person, real_result, tmp_path / "poses.bvh"))
    np.testing.assert_allclose(joints, y_up(constant_limbs(poses)), atol=1e-4)


def test_coincident_joints_give_a_bvh(real_result: VideoResult, tmp_path: Path) -> None:
    nowhere = PoseSequence(np.zeros((75, 17, 3), np.float32), 30)
    person = replace(real_result.people[0], poses=nowhere)
    joints = joints_of(written(person, real_result, tmp_path / "poses.bvh"))
    np.testing.assert_array_equal(joints, np.zeros((75, 17, 3)))


def test_rest_pose_has_no_rotations(real_result: VideoResult) -> None:
    """A person in the file's rest pose, facing the camera."""
    motion = rig(real_result.people[1])
    positions = {"hip": np.zeros(3)}
    for node, offset in zip(NODES[1:], motion.offsets[1:], strict=True):
        positions[node.name] = positions[node.parent or ""] + offset
    pose = np.stack([positions[joint] for joint in H36M17.joints]) * (1, -1, -1)
    person = replace(
        real_result.people[1], poses=PoseSequence(np.float32(pose)[None].repeat(75, 0), 30)
    )
    np.testing.assert_allclose(np.abs(rig(person).rotations[..., 3]), 1, atol=1e-6)


def test_bones_have_no_twist(recorded: PersonMotion) -> None:
    """A bone rotates little more from frame to frame than its direction does."""
    rotations = rig(recorded).rotations.transpose(1, 0, 2)
    for node, quaternions in zip(NODES, rotations, strict=True):
        if node.parent is None or node.aim is None or node.across:
            continue
        assert ((quaternions[1:] * quaternions[:-1]).sum(axis=-1) > 0).all()
        turns = Rotation.from_quat(quaternions)
        directions = turns.apply(rest_direction(node.aim))
        turned = (turns[1:] * turns[:-1].inv()).magnitude()
        swung = np.arccos(np.clip((directions[1:] * directions[:-1]).sum(axis=-1), -1, 1))
        assert np.sqrt((turned**2).mean()) < 1.2 * np.sqrt((swung**2).mean()), node.name
