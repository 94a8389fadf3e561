"""Limbs of constant length: their invariants, and a general optimiser as oracle."""

import numpy as np
import pytest
from scipy.optimize import minimize

from model import VideoResult
from model.keypoints.sequences import PoseSequence
from model.keypoints.skeleton import H36M17
from model.motion.limbs import constant_limbs

PARENTS, CHILDREN = np.array(H36M17.bones).T


def bones(poses: PoseSequence) -> np.ndarray:
    return poses.xyz[:, CHILDREN].astype(np.float64) - poses.xyz[:, PARENTS]


def test_bones_have_their_median_lengths(real_result: VideoResult) -> None:
    for person in real_result.people:
        fitted = constant_limbs(person.poses)
        lengths = np.linalg.norm(bones(fitted), axis=-1)
        medians = np.median(np.linalg.norm(bones(person.poses), axis=-1), axis=0)
        np.testing.assert_allclose(lengths, np.broadcast_to(medians, lengths.shape), atol=1e-6)
        np.testing.assert_array_equal(fitted.xyz[:, 0], person.poses.xyz[:, 0])


def test_poses_with_constant_limbs_are_unchanged(real_result: VideoResult) -> None:
    once = constant_limbs(real_result.people[1].poses)
    np.testing.assert_allclose(constant_limbs(once).xyz, once.xyz, atol=1e-5)


def test_result_is_as_near_as_that_of_a_general_optimiser(real_result: VideoResult) -> None:
    poses = real_result.people[1].poses
    lengths = np.median(np.linalg.norm(bones(poses), axis=-1), axis=0)
    fitted = constant_limbs(poses).xyz
    for t in (0, 30, 60):
        target = poses.xyz[t].astype(np.float64)

        def built(directions: np.ndarray) -> np.ndarray:
            joints = np.zeros((17, 3))
            for bone, (parent, child) in enumerate(H36M17.bones):
                vector = directions.reshape(-1, 3)[bone]
                joints[child] = joints[parent] + lengths[bone] * vector / np.linalg.norm(vector)
            return joints

        def distance(directions: np.ndarray, target: np.ndarray = target) -> float:
            return float(((built(directions) - target) ** 2).sum())

        best = minimize(distance, (target[CHILDREN] - target[PARENTS]).ravel())
        assert ((fitted[t] - target) ** 2).sum() < 1.05 * best.fun


def test_bone_of_zero_length_gets_its_median_length(real_result: VideoResult) -> None:
    xyz = real_result.people[0].poses.xyz.copy()
    xyz[3] = 0
    fitted = constant_limbs(PoseSequence(xyz, 30)).xyz
    assert np.isfinite(fitted).all()
    assert np.linalg.norm(fitted[3, 3] - fitted[3, 2]) == pytest.approx(
        np.linalg.norm(fitted[4, 3] - fitted[4, 2]), rel=1e-5
    )
