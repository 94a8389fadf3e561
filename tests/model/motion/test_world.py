"""Roots and world space: projections of known positions; rotated, mirrored and scaled scenes."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from model import H36M17, KeypointSequence, PersonMotion, PoseSequence, UnknownName, VideoResult
from model.keypoints.sequences import Float32
from model.lifting.camera import mirror_pose
from model.lifting.root import root_positions, root_track, steadied
from model.motion.world import CAMERA_UPRIGHT, PEOPLE_UPRIGHT, placed, room_of, space_warnings

Float64 = NDArray[np.float64]

FOCAL_PX = 1000.0
ANKLES = [H36M17.index("right_ankle"), H36M17.index("left_ankle")]


def walk(frames: int, away_m: float = 5.0) -> Float64:
    """Roots (T, 3) m of a person who walks across the image and slowly away."""
    time = np.linspace(0, 1, frames)
    return np.stack([time * 2 - 1, 0.2 + 0 * time, away_m + time], axis=1)


def projected(poses: PoseSequence, root: Float64) -> KeypointSequence:
    """The exact projection of the poses."""
    xyz = poses.xyz.astype(np.float64) + root[:, None]
    xy = xyz[..., :2] / xyz[..., 2:] * FOCAL_PX + (960, 540)
    return KeypointSequence(xy, np.ones(xy.shape[:2]), (1920, 1080), poses.fps, H36M17)


def test_root_of_exact_keypoints_is_exact(recorded: PersonMotion) -> None:
    poses = recorded.poses.xyz.astype(np.float64)
    true = walk(len(poses))
    xyz = poses + true[:, None]
    root = root_positions(poses, xyz[..., :2] / xyz[..., 2:], np.ones(xyz.shape[:2]))
    np.testing.assert_allclose(root, true, atol=1e-6)


def test_roots_are_equivariant_to_mirroring_and_scale(recorded: PersonMotion) -> None:
    poses = recorded.poses.xyz[::10].astype(np.float64)
    xyz = poses + walk(len(poses))[:, None]
    rays = xyz[..., :2] / xyz[..., 2:]
    rays = rays + np.random.default_rng(1).normal(0, 0.002, rays.shape)
    weights = np.random.default_rng(2).uniform(0.2, 1, rays.shape[:2])
    root = root_positions(poses, rays, weights)
    mirror = list(H36M17.mirror)
    mirrored = root_positions(mirror_pose(poses), mirror_pose(rays), weights[:, mirror])
    np.testing.assert_allclose(mirrored, root * (-1, 1, 1), atol=1e-6)
    np.testing.assert_allclose(root_positions(poses * 1.3, rays, weights), root * 1.3, atol=1e-6)


def test_root_tolerates_outliers_and_unseen_joints(recorded: PersonMotion) -> None:
    poses = recorded.poses
    true = walk(len(poses))
    exact = projected(poses, true)
    xy, score = exact.xy.copy(), exact.confidence.copy()
    rng = np.random.default_rng(0)
    xy += rng.normal(0, 1, xy.shape)
    xy[:, [13, 16]] += 200
    score[:, [3, 6]] = 0
    root = root_track(poses, replace(exact, xy=xy, confidence=score), FOCAL_PX)
    assert np.linalg.norm(root - true, axis=1).mean() < 0.03


def test_root_smoothing_keeps_lines_and_halves_the_cutoff_frequency() -> None:
    time = np.arange(400)
    line = np.stack([time * 0.1, 5 - time * 0.3], axis=1)
    np.testing.assert_allclose(steadied(line, np.ones(400), 0.02), line, atol=1e-6)
    wave = np.sin(2 * np.pi * 0.02 * time)[:, None]
    smoothed = steadied(wave, np.ones(400), 0.02)
    np.testing.assert_allclose(smoothed[100:300], wave[100:300] / 2, atol=0.01)


def test_root_is_interpolated_while_a_person_is_hidden(recorded: PersonMotion) -> None:
    poses, true = recorded.poses, walk(len(recorded.poses))
    exact = projected(poses, true)
    score = exact.confidence.copy()
    score[60:80] = 0
    score[60:80, :3] = 1
    root = root_track(poses, replace(exact, confidence=score), FOCAL_PX)
    assert np.abs(root - true).max() < 0.05


@pytest.mark.parametrize("frames", [1, 2, 50])
def test_root_of_an_unseen_person_fills_the_image(frames: int, recorded: PersonMotion) -> None:
    poses = replace(recorded.poses, xyz=recorded.poses.xyz[:frames])
    unseen = projected(poses, walk(frames))
    unseen = replace(unseen, confidence=np.zeros_like(unseen.confidence))
    root = root_track(poses, unseen, FOCAL_PX)
    np.testing.assert_allclose(root, np.tile([0, 0, 1.7 * 1000 / 1920], (frames, 1)), rtol=1e-6)


def test_coincident_joints_give_finite_results(recorded: PersonMotion) -> None:
    poses = replace(recorded.poses, xyz=np.zeros_like(recorded.poses.xyz))
    root = root_track(poses, projected(poses, walk(len(poses))), FOCAL_PX)
    assert np.isfinite(root).all()
    assert np.isfinite(room_of([(poses, root)]).rotation).all()


def turned(person: PersonMotion, rotation: Rotation) -> tuple[PoseSequence, Float32]:
    """Poses and root of the person, rotated about the camera."""
    xyz = rotation.apply(person.poses.xyz.reshape(-1, 3)).reshape(-1, 17, 3)
    root = rotation.apply(walk(len(xyz)))
    return replace(person.poses, xyz=xyz.astype(np.float32)), root.astype(np.float32)


@pytest.mark.parametrize("degrees", [(0, 0), (30, 0), (-20, 0), (0, 25), (20, -30)])
def test_up_axis_and_floor_do_not_depend_on_the_cameras_tilt(
    degrees: tuple[float, float], recorded: PersonMotion
) -> None:
    turn = Rotation.from_euler("xz", degrees, degrees=True)
    level, tilted = (turned(recorded, rotation) for rotation in (Rotation.identity(), turn))
    room, other = room_of([level]), room_of([tilted])
    assert other.assumes == room.assumes == PEOPLE_UPRIGHT
    np.testing.assert_allclose(other.rotation[1], turn.apply(room.rotation[1]), atol=1e-3)
    angle = np.degrees(np.arccos(-room.rotation[1, 1]))
    assert angle < 5, "recordings stand upright"
    assert np.linalg.det(other.rotation) == pytest.approx(1)
    assert other.camera_height_m == pytest.approx(room.camera_height_m, abs=1e-3)
    feet = placed(*tilted, other, "world").xyz[:, ANKLES, 1].min(axis=1)
    assert np.abs(feet - 0.07).max() < 0.06


def test_lying_person_does_not_determine_the_up_axis(recorded: PersonMotion) -> None:
    room = room_of([turned(recorded, Rotation.from_euler("z", 90, degrees=True))])
    assert room.assumes == CAMERA_UPRIGHT
    np.testing.assert_array_equal(room.rotation, np.diag([1, -1, -1]))
    assert "the camera's is used" in space_warnings("world", room)[0]
    assert space_warnings("camera", room) == []


def test_in_space_can_be_undone(real_result: VideoResult) -> None:
    world = real_result.in_space("world")
    assert world.applied["space"] == "world"
    for space in ("camera", "world", "root"):
        back = world.in_space(space).in_space("root")
        for person, other in zip(back.people, real_result.people, strict=True):
            np.testing.assert_allclose(person.poses.xyz, other.poses.xyz, atol=2e-6)
    camera = real_result.in_space("camera").people[0]
    np.testing.assert_allclose(camera.poses.xyz[:, 0], camera.root)
    with pytest.raises(UnknownName, match="unknown space 'moon'; known: camera, root, world"):
        real_result.in_space("moon")


def test_two_real_people_are_upright_and_in_their_places(real_result: VideoResult) -> None:
    """The woman walks on the ground; the man dances on a roof some two metres above her."""
    man, woman = (person.poses.xyz for person in real_result.in_space("world").people)
    for person in (man, woman):
        body = np.median(person[:, 8] - person[:, ANKLES].mean(axis=1), axis=0)
        assert np.degrees(np.arccos(body[1] / np.linalg.norm(body))) < 8
    feet = woman[:, ANKLES, 1].min(axis=1)
    assert np.abs(feet - 0.05).max() < 0.12
    assert 1.4 < np.median(man[:, ANKLES, 1].min(axis=1)) < 2.6
    assert man[0, 0, 0] < woman[0, 0, 0] and np.ptp(woman[:, 0, 0]) > 2
