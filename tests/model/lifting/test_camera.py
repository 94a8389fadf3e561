"""Camera geometry: inverse pairs, mirror, and inputs that are bit-identical in any chunking."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from model.keypoints.skeleton import H36M17
from model.lifting import camera
from model.lifting.camera import Box

SIZE = np.array([1920, 1080], np.float32)
FOCAL = np.float32(1500)


@pytest.fixture
def seen(rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rays and scores of 40 frames, some with too few joints, also at the start."""
    xy = (rng.uniform(0, 1, (40, 17, 2)) * SIZE).astype(np.float32)
    score = rng.uniform(0.1, 1, (40, 17)).astype(np.float32)
    score[[0, 1, 17]] = 0
    score[20, 3:] = 0
    score[30, [2, 5]] = 0
    return camera.pixels_to_rays(xy, SIZE, FOCAL), score


def test_pixels_to_rays_and_back_is_the_identity(rng: np.random.Generator) -> None:
    xy = rng.uniform(-100, 2000, (5, 17, 2))
    rays = camera.pixels_to_rays(xy, SIZE, FOCAL)
    np.testing.assert_allclose(camera.rays_to_pixels(rays, SIZE, FOCAL), xy, rtol=1e-6)


def test_image_normalisation_equals_the_published_one_and_inverts(rng: np.random.Generator) -> None:
    corners = np.array([[0, 0], [1000, 1002], [500, 501]], np.float64)
    size = np.array([1000.0, 1002.0])
    expected = [[-1, -1.002], [1, 1.002], [0, 0]]
    np.testing.assert_allclose(camera.image_input(corners, size), expected, atol=1e-12)
    xy = rng.uniform(0, 1000, (7, 17, 2))
    back = camera.image_output(camera.image_input(xy, size), size)
    np.testing.assert_allclose(back, xy, atol=1e-9)


def test_rotation_to_is_the_shortest_rotation_to_the_axis(rng: np.random.Generator) -> None:
    for ray in rng.normal(size=(20, 2)) * 2:
        direction = np.append(ray, 1) / np.linalg.norm(np.append(ray, 1))
        rotation = camera.rotation_to(ray)
        axis = np.cross(direction, [0, 0, 1])
        angle = np.arccos(direction[2])
        oracle = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix()
        np.testing.assert_allclose(rotation, oracle, atol=1e-9)


def test_turn_back_inverts_turn(seen, rng: np.random.Generator) -> None:
    person = camera.person_input(*seen, camera.whole_image(SIZE, FOCAL))
    xyz = rng.normal(size=(40, 17, 3)).astype(np.float32)
    turned = camera.turn(xyz, person.rotation)
    np.testing.assert_allclose(camera.turn_back(turned, person.rotation), xyz, atol=2e-6)
    assert np.abs(turned - xyz).max() > 0.1


def test_turned_rays_equal_rays_of_turned_points(rng: np.random.Generator) -> None:
    xyz = rng.normal(size=(3, 17, 3)) * 0.2 + [0.3, -0.2, 3]
    rotation = camera.rotation_to(np.array([[0.1, -0.07]] * 3))
    turned = camera.turn(xyz, rotation)
    rays = camera.turn_rays(xyz[..., :2] / xyz[..., 2:], rotation)
    np.testing.assert_allclose(rays, turned[..., :2] / turned[..., 2:], atol=1e-12)


@pytest.mark.parametrize("cuts", [[1], [2], [5, 6, 21], list(range(1, 40))])
def test_frame_input_is_bit_identical_in_every_chunking(seen, cuts: list[int]) -> None:
    rays, score = seen
    whole = camera.person_input(rays, score, camera.whole_image(SIZE, FOCAL))
    box, parts = camera.whole_image(SIZE, FOCAL), []
    for chunk in np.split(np.arange(40), cuts):
        part = camera.person_input(rays[chunk], score[chunk], box)
        box = Box(part.box.middle[-1], part.box.half_size[-1])
        parts.append(part)
    np.testing.assert_array_equal(np.concatenate([p.channels for p in parts]), whole.channels)
    np.testing.assert_array_equal(np.concatenate([p.rotation for p in parts]), whole.rotation)


@given(st.data())
def test_one_person_input_is_bit_identical_to_person_input(data: st.DataObject) -> None:
    number = st.one_of(st.floats(-2, 2), st.sampled_from([0.0, -40.0, 1e6]))
    rays = np.array(data.draw(st.lists(st.tuples(number, number), min_size=17, max_size=17)))[None]
    scores = st.one_of(st.just(0.0), st.floats(0, 1, width=32))
    score = np.array([data.draw(st.lists(scores, min_size=17, max_size=17))], np.float32)
    before = Box(np.array([0.3, -0.1]), np.float64(0.4))
    expected = camera.person_input(rays, score, before)
    actual = camera.one_person_input(rays, score, before)
    for one, reference in (
        (actual.channels, expected.channels),
        (actual.rotation, expected.rotation),
        (actual.box.middle, expected.box.middle),
        (actual.box.half_size, expected.box.half_size),
    ):
        np.testing.assert_array_equal(one.astype(np.float32), reference.astype(np.float32))


def test_unseen_joints_are_zero_and_unseen_frames_keep_the_last_box(seen) -> None:
    rays, score = seen
    person = camera.person_input(rays, score, camera.whole_image(SIZE, FOCAL))
    assert (person.channels[score == 0][:, :3] == 0).all()
    np.testing.assert_array_equal(person.rotation[17], person.rotation[16])
    np.testing.assert_array_equal(person.rotation[20], person.rotation[19])
    np.testing.assert_array_equal(person.rotation[0], np.eye(3, dtype=np.float32))
    assert person.channels[0, 0, 5] == pytest.approx(np.log(1920 / 1500 / 2))


def test_input_hardly_depends_on_distance_and_focal_length(rng: np.random.Generator) -> None:
    person = rng.normal(size=(1, 17, 3)) * [0.2, 0.5, 0.1]
    inputs = []
    for depth, focal in ((4.0, 1000.0), (8.0, 2000.0)):
        xyz = person + [0, 0, depth]
        rays = (xyz[..., :2] / xyz[..., 2:]).astype(np.float32)
        size = np.array([2 * focal, focal], np.float32)
        score = np.ones((1, 17), np.float32)
        whole = camera.whole_image(size, np.float32(focal))
        inputs.append(camera.person_input(rays, score, whole).channels)
    near, far = inputs
    assert np.abs(near[..., :2] - far[..., :2]).max() < 0.05
    assert far[0, 0, 5] - near[0, 0, 5] == pytest.approx(np.log(0.5), abs=0.05)


def test_mirror_input_is_its_own_inverse_and_equals_the_mirrored_image(seen) -> None:
    rays, score = seen
    whole = camera.whole_image(SIZE, FOCAL)
    inputs = camera.person_input(rays, score, whole).channels
    np.testing.assert_array_equal(camera.mirror_input(camera.mirror_input(inputs)), inputs)
    mirrored = camera.mirror_pose(rays)
    seen_mirrored = score[:, list(H36M17.mirror)]
    other = camera.person_input(mirrored, seen_mirrored, whole).channels
    np.testing.assert_allclose(camera.mirror_input(inputs), other, atol=1e-6)


def test_torch_equals_numpy(seen) -> None:
    rays, score = seen
    whole = camera.whole_image(SIZE, FOCAL)
    expected = camera.person_input(rays, score, whole)
    box = Box(torch.from_numpy(whole.middle), torch.tensor(whole.half_size))
    actual = camera.person_input(torch.from_numpy(rays), torch.from_numpy(score), box)
    np.testing.assert_allclose(actual.channels.numpy(), expected.channels, atol=1e-6)


def test_extreme_coordinates_give_finite_inputs() -> None:
    xy = np.array([[-1e6, 1e6]] * 8 + [[1e6, -1e6]] * 8 + [[0, 0]], np.float32)[None]
    size = np.array([1, 1], np.float32)
    rays = camera.pixels_to_rays(xy, size, np.float32(1))
    whole = camera.whole_image(size, np.float32(1))
    person = camera.person_input(rays, np.ones((1, 17), np.float32), whole)
    assert np.isfinite(person.channels).all() and np.abs(person.channels).max() < 1e4
    same = np.zeros((1, 17, 2), np.float32)
    person = camera.person_input(same, np.ones((1, 17), np.float32), whole)
    assert np.isfinite(person.channels).all()


def test_hold_last_seen_fills_unseen_joints() -> None:
    xy = np.arange(3 * 17 * 2, dtype=np.float32).reshape(3, 17, 2)
    score = np.ones((3, 17), np.float32)
    score[0, 3] = score[1, 5] = 0
    score[2] = 0
    never = np.full((17, 2), np.nan, np.float32)
    held, last = camera.hold_last_seen(xy, score, never, np.array([9.0, 9.0]))
    middle = np.delete(xy[0], 3, axis=0).mean(axis=0)
    np.testing.assert_allclose(held[0, 3], middle)
    np.testing.assert_array_equal(held[1, 5], xy[0, 5])
    np.testing.assert_array_equal(held[2, 3], xy[1, 3])
    np.testing.assert_array_equal(last[5], xy[0, 5])
    unseen, _ = camera.hold_last_seen(xy[2:], score[2:], never, np.array([9.0, 9.0]))
    assert (unseen == 9).all()
