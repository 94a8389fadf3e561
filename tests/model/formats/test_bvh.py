"""BVH, read again by pybvh, and set in motion by it: joint by joint where the poses are."""

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
    """By pybvh's forward kinematics: (T, 17, 3), in the order of H36M-17."""
    bvh = pybvh.read_bvh_file(path, world_up="+y")
    names = [
        ENDS[node.parent.name] if node.is_end_site() else node.name
        for node in bvh.nodes  # type: ignore[attr-defined]
    ]
    places = bvh.node_positions()
    return np.stack([places[:, names.index(joint)] for joint in H36M17.joints], axis=1)


def written(person: PersonMotion, result: VideoResult, path: Path) -> Path:
    write_motion(replace(result, people=(person,)), "bvh", path)
    return path


@pytest.mark.parametrize("space", ["root", "world"])
def test_joints_are_where_the_poses_with_constant_limbs_are(
    space: str, real_result: VideoResult, tmp_path: Path
) -> None:
    for person in real_result.in_space(space).people:
        path = written(person, real_result, tmp_path / "poses.bvh")
        bvh = pybvh.read_bvh_file(path, world_up="+y")
        assert bvh.frame_count == 75
        assert bvh.fps == pytest.approx(30, rel=1e-6)
        assert bvh.root.name == "hip"
        found = joints_of(path)
        np.testing.assert_allclose(found, y_up(constant_limbs(person.poses)), atol=1e-4)
        far_m = np.linalg.norm(found - y_up(person.poses), axis=-1)
        assert far_m.mean() < 0.01


def test_real_motion_with_constant_limbs_comes_back_within_a_centimetre(
    real_result: VideoResult, recorded: PersonMotion, tmp_path: Path
) -> None:
    found = joints_of(written(recorded, real_result, tmp_path / "poses.bvh"))
    assert np.linalg.norm(found - y_up(recorded.poses), axis=-1).max() < 0.01


def test_while_away_the_skeleton_moves_evenly(gappy_result: VideoResult, tmp_path: Path) -> None:
    person = gappy_result.people[0]
    path = written(person, gappy_result, tmp_path / "poses.bvh")
    found = joints_of(path)
    assert len(found) == 75
    np.testing.assert_allclose(found[person.frames], y_up(constant_limbs(person.poses)), atol=1e-4)
    steps = np.linalg.norm(np.diff(found[19:41], axis=0), axis=-1)
    assert steps.max() < 3 * steps.mean(axis=0).max()


def test_one_frame(gappy_result: VideoResult, tmp_path: Path) -> None:
    person = gappy_result.people[1]
    found = joints_of(written(person, gappy_result, tmp_path / "poses.bvh"))
    np.testing.assert_allclose(found, y_up(person.poses), atol=1e-4)


@pytest.mark.parametrize("turn", [(0, 0, 0), (90, 0, 0), (180, 0, 0), (0, 90, 0), (0, 0, 180)])
def test_lying_and_upside_down(
    turn: tuple[float, ...], real_result: VideoResult, tmp_path: Path
) -> None:
    person = real_result.people[1]
    turned = Rotation.from_euler("xyz", turn, degrees=True).apply(person.poses.xyz.reshape(-1, 3))
    poses = replace(person.poses, xyz=turned.reshape(-1, 17, 3).astype(np.float32))
    person = replace(person, poses=poses)
    found = joints_of(written(person, real_result, tmp_path / "poses.bvh"))
    np.testing.assert_allclose(found, y_up(constant_limbs(poses)), atol=1e-4)


def test_joints_in_one_place_give_a_file(real_result: VideoResult, tmp_path: Path) -> None:
    nowhere = PoseSequence(np.zeros((75, 17, 3), np.float32), 30)
    person = replace(real_result.people[0], poses=nowhere)
    found = joints_of(written(person, real_result, tmp_path / "poses.bvh"))
    np.testing.assert_array_equal(found, np.zeros((75, 17, 3)))


def test_at_rest_nothing_is_turned(real_result: VideoResult) -> None:
    """A person who stands as the file's rest pose does, facing the camera."""
    motion = rig(real_result.people[1])
    places = {"hip": np.zeros(3)}
    for node, offset in zip(NODES[1:], motion.offsets[1:], strict=True):
        places[node.name] = places[node.parent or ""] + offset
    pose = np.stack([places[joint] for joint in H36M17.joints]) * (1, -1, -1)
    person = replace(
        real_result.people[1], poses=PoseSequence(np.float32(pose)[None].repeat(75, 0), 30)
    )
    np.testing.assert_allclose(np.abs(rig(person).rotations[..., 3]), 1, atol=1e-6)


def test_no_bone_spins_about_itself(recorded: PersonMotion) -> None:
    """What a bone turns from frame to frame is little more than its direction does."""
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
