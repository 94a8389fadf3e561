"""Simulated cameras and detections: geometry, and the same network input as in the service."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model import COCO17, H36M17, KeypointSequence
from model.lifting import camera
from model.training.evaluation.errors import CLIP_FRAMES, simulated_clips
from model.training.evaluation.views import views
from model.training.recordings import CANONICAL_CHAIN_M, Recordings, chain_length, load_recordings
from model.training.simulation.bodies import detector_points, vary_build
from model.training.simulation.cameras import CameraRanges, Draw, draw_cameras
from model.training.simulation.detections import Noise, detect
from model.training.simulation.windows import Simulation, batches, observe, prepare


@pytest.fixture(scope="module")
def recordings(recordings_file: Path) -> Recordings:
    return load_recordings([recordings_file])


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def bodies(recordings: Recordings) -> torch.Tensor:
    """World joints (6, 9, 17, 3) of both people."""
    start = torch.tensor([0.0, 20, 40, 60, 80, 100])
    return recordings.at(torch.tensor([0, 1] * 3), start[:, None] + torch.arange(9))


def test_recordings_are_scaled_to_the_canonical_size(recordings: Recordings) -> None:
    for index in range(len(recordings)):
        times = torch.arange(float(recordings.length[index]))[None]
        joints = recordings.at(torch.tensor([index]), times)
        assert chain_length(joints).median().item() == pytest.approx(CANONICAL_CHAIN_M, rel=0.01)


def test_recordings_interpolate_between_frames_and_repeat_the_ends(recordings: Recordings) -> None:
    sequence = torch.tensor([1])
    at = recordings.at(sequence, torch.tensor([[-3.0, 0, 7, 7.25, 8, 1e6]]))[0]
    last = recordings.at(sequence, recordings.length[sequence][:, None] - 1.0)[0, 0]
    torch.testing.assert_close(at[0], at[1])
    torch.testing.assert_close(at[3], at[2] * 0.75 + at[4] * 0.25)
    torch.testing.assert_close(at[5], last)


def test_varied_builds_keep_size_root_and_bone_directions(
    bodies: torch.Tensor, generator: torch.Generator
) -> None:
    built = vary_build(bodies, Draw(6, bodies.device, generator))
    torch.testing.assert_close(built[:, :, 0], bodies[:, :, 0])
    np.testing.assert_allclose(chain_length(built).mean(dim=1), CANONICAL_CHAIN_M, rtol=1e-4)
    for parent, child in H36M17.bones:
        before, after = (b[:, :, child] - b[:, :, parent] for b in (bodies, built))
        cosine = torch.nn.functional.cosine_similarity(before, after, dim=-1)
        assert cosine.min() > 0.9999
        ratio = after.norm(dim=-1) / before.norm(dim=-1)
        assert ratio.min() > 0.7 and ratio.max() < 1.35
        mirror = next((p, c) for p, c in H36M17.bones if c == H36M17.mirror[child])
        other = (built[:, :, mirror[1]] - built[:, :, mirror[0]]).norm(dim=-1) / (
            bodies[:, :, mirror[1]] - bodies[:, :, mirror[0]]
        ).norm(dim=-1)
        torch.testing.assert_close(ratio, other, rtol=1e-3, atol=1e-3)


def test_detector_points_are_anatomically_placed(
    bodies: torch.Tensor, generator: torch.Generator
) -> None:
    points = detector_points(bodies, Draw(6, bodies.device, generator))
    at = {name: points[:, :, i] for i, name in enumerate(COCO17.joints)}
    body = {name: bodies[:, :, i] for i, name in enumerate(H36M17.joints)}
    ears = (at["left_ear"] + at["right_ear"]) / 2
    assert ((ears - body["neck_nose"]).norm(dim=-1) < 0.12).all()
    assert (at["nose"][..., 1] > body["thorax"][..., 1]).all()
    walking = body["hip"][:, -1] - body["hip"][:, 0]
    facing = (at["nose"] - ears)[:, 4]
    assert ((walking * facing).sum(-1) > 0).all()
    left = (at["left_hip"] - at["right_hip"]) * (body["left_hip"] - body["right_hip"])
    assert (left.sum(-1) > 0).all()


def test_cameras_show_people_upright_and_inside_the_image(
    bodies: torch.Tensor, generator: torch.Generator
) -> None:
    many = bodies.repeat(50, 1, 1, 1)
    fps = torch.full((300,), 50.0)
    ranges = CameraRanges(cut=0, moving=0)
    cameras = draw_cameras(many, fps, ranges, generator)
    xyz = cameras.to_camera(many)
    points = cameras.project(xyz)
    inside = ((points >= 0) & (points <= cameras.image_size[:, None, None])).all(-1)
    assert inside.float().mean() > 0.95
    head, ankle = points[:, :, 10, 1], points[:, :, [3, 6], 1].mean(-1)
    assert (head < ankle).float().mean() > 0.98  # y is down
    rotation = cameras.rotation
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand_as(rotation))
    assert (torch.linalg.det(rotation) > 0).all()
    distances = (many[:, :, :1] - many).norm(dim=-1)
    torch.testing.assert_close((xyz[:, :, :1] - xyz).norm(dim=-1), distances, rtol=1e-3, atol=1e-4)


def test_simulated_input_equals_the_lifters_input(
    bodies: torch.Tensor, generator: torch.Generator
) -> None:
    draw = Draw(6, bodies.device, generator)
    observation = observe(bodies, torch.full((6,), 30.0), Simulation(), draw, generator)
    batch = prepare(observation)
    for row in range(6):
        pixels = 1600
        size = (observation.cameras.image_size[row] * pixels).numpy()
        focal = observation.cameras.assumed_focal[row].numpy() * np.float32(pixels)
        xy, score = observation.points[row].numpy() * pixels, observation.score[row].numpy()
        rays = camera.pixels_to_rays(xy, size, focal)
        expected = camera.person_input(rays, score, camera.whole_image(size, focal))
        np.testing.assert_allclose(batch.inputs[row], expected.channels, atol=2e-4)
        relative = observation.joints[row] - observation.joints[row, :, :1]
        turned = camera.turn(relative.numpy(), expected.rotation)
        np.testing.assert_allclose(batch.targets[row], turned, atol=1e-4)


def test_true_2d_is_the_projection_of_the_true_joints(
    bodies: torch.Tensor, generator: torch.Generator
) -> None:
    draw = Draw(6, bodies.device, generator)
    plain = Simulation().without_errors()
    observation = observe(bodies, torch.full((6,), 50.0), plain, draw, generator)
    torch.testing.assert_close(observation.points, observation.cameras.project(observation.joints))
    assert (observation.score == 1).all()
    torch.testing.assert_close(observation.cameras.assumed_focal, observation.cameras.focal)


def test_noise_has_the_configured_spread(generator: torch.Generator) -> None:
    draw = Draw(4000, torch.device("cpu"), generator)
    points = torch.rand(1, 1, 17, 2).expand(4000, 9, 17, 2) * 0.1 + 0.4
    points = torch.cat([points[:, :, :-1], points[:, :, :1] + torch.tensor([0.0, 0.5])], dim=2)
    depth, size = torch.ones(4000, 9, 17), torch.ones(4000, 2)
    noise = Noise(
        **dict.fromkeys(
            ("clean", "burst", "swap", "lost", "absent", "drops", "white", "bias"), 0.0
        ),
        spread=(0.01, 0.010001),
    )
    detections = detect(points, depth, size, torch.full((4000,), 50.0), COCO17.joints, noise, draw)
    height = (points.amax(2) - points.amin(2)).amax(-1)[0, 0]
    error = (detections.points - points)[:, :, COCO17.index("left_hip")] / height
    assert error.std().item() == pytest.approx(0.01, rel=0.05)
    wrist = (detections.points - points)[:, :, COCO17.index("left_wrist")] / height
    assert wrist.std().item() == pytest.approx(0.01 * noise.joints["wrist"], rel=0.05)
    steps = error.diff(dim=1).std().item()
    assert 0.2 < steps / 0.01 < 0.9  # slower than white noise, whose steps are 1.41
    exact = detect(
        points, depth, size, torch.full((4000,), 50.0), COCO17.joints, Noise.none(), draw
    )
    torch.testing.assert_close(exact.points, points)


def test_swaps_mirror_limbs_for_some_frames(generator: torch.Generator) -> None:
    draw = Draw(500, torch.device("cpu"), generator)
    points = torch.rand(500, 27, 17, 2, generator=generator) * 0.4 + 0.3
    noise = Noise(**(vars(Noise.none()) | {"clean": 0.0, "spread": (1e-9, 2e-9), "swap": 1.0}))
    noise = Noise(**(vars(noise) | {"burst": 0.0, "lost": 0.0, "absent": 0.0}))
    detected = detect(
        points, torch.ones(500, 27, 17), torch.ones(500, 2), torch.full((500,), 50.0),
        COCO17.joints, noise, draw,
    ).points  # fmt: skip
    moved = ((detected - points).abs() > 1e-6).any(-1)
    mirrored = points[:, :, list(COCO17.mirror)]
    torch.testing.assert_close(detected[moved], mirrored[moved])
    frames = moved.any(-1).sum(dim=1)
    assert (frames > 0).float().mean() > 0.9 and frames.max() <= 15
    assert not moved[:, :, COCO17.index("nose")].any()


def test_windows_are_reproducible_for_a_seed(recordings: Recordings) -> None:
    def first(seed: int) -> torch.Tensor:
        source = batches(
            recordings,
            Simulation(),
            frames=9,
            frame_step=3,
            batch=8,
            generator=torch.Generator().manual_seed(seed),
        )
        next(source)
        return next(source).inputs

    torch.testing.assert_close(first(3), first(3), rtol=0, atol=0)
    assert not torch.equal(first(3), first(4))


def test_repeated_ends_repeat_inputs_and_targets(
    recordings: Recordings, generator: torch.Generator
) -> None:
    simulation = Simulation(repeat_first=1.0, repeat_last=0.0)
    source = batches(recordings, simulation, frames=9, frame_step=1, batch=16, generator=generator)
    batch = next(source)
    torch.testing.assert_close(batch.inputs[:, 0], batch.inputs[:, 1], rtol=0, atol=0)
    torch.testing.assert_close(batch.targets[:, 0], batch.targets[:, 1], rtol=0, atol=0)


def test_clips_are_in_pixels_with_matching_truth(recordings: Recordings) -> None:
    clips = list(simulated_clips(recordings, Simulation().without_errors()))
    assert [c.person for c in clips] == ["cmu02", "cmu16"]
    for clip in clips:
        assert isinstance(clip.keypoints, KeypointSequence) and len(clip.keypoints) == CLIP_FRAMES
        assert max(clip.keypoints.image_size) == 1920 and clip.focal_px is not None
        rays = clip.keypoints.xy - np.array(clip.keypoints.image_size) / 2
        np.testing.assert_array_equal(clip.xyz[:, 0], 0)
        left, right = H36M17.index("left_hip"), H36M17.index("right_hip")
        same = np.sign(rays[:, left] - rays[:, right]) == np.sign(
            clip.xyz[:, left, :2] - clip.xyz[:, right, :2]
        )
        assert same.mean() > 0.8


def test_view_describes_the_camera_position(
    bodies: torch.Tensor, generator: torch.Generator
) -> None:
    draw = Draw(6, bodies.device, generator)
    observation = observe(
        bodies, torch.full((6,), 50.0), Simulation().without_errors(), draw, generator
    )
    cameras, middle = observation.cameras, bodies.shape[1] // 2
    for row, view in enumerate(views(observation)):
        height = cameras.rotation[row] @ torch.tensor([0.0, view.height_m, 0.0])
        horizontal = torch.linalg.vector_norm(height + cameras.offset[row, 0, 0]).item()
        assert horizontal**2 + view.height_m**2 == pytest.approx(view.distance_m**2, rel=1e-3)
        body_m = torch.linalg.vector_norm(observation.joints[row, middle].mean(dim=0)).item()
        assert view.distance_m == pytest.approx(body_m, rel=0.2)
        points = observation.points[row]
        inside = ((points >= 0) & (points <= cameras.image_size[row])).all(dim=-1)
        assert view.outside == pytest.approx(1 - inside.float().mean().item())
