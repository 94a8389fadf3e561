"""Videos of data sets as training windows and evaluation clips."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model import H36M17, InvalidInput, KeypointSequence, Lifter, LiftOptions
from model.lifting.camera import mirror_input, mirror_pose
from model.motion.metrics import mpjpe
from model.training.datasets.videos import DatasetVideo, prepare_video, video_batches, video_clips

FRAMES = 6


@pytest.fixture(scope="module")
def videos(recordings_file: Path) -> list[DatasetVideo]:
    """A recorded person seen by two cameras of different focal lengths."""
    file = np.load(recordings_file)
    bodies = file["pos"][:FRAMES] * float(file["scale"])
    videos = []
    for camera, focal in (("left", 1100.0), ("right", 1300.0)):
        xyz = (bodies - bodies[:1, :1]) * [1, -1, -1] + [0.4, -0.1, 4.0]
        xy = xyz[..., :2] / xyz[..., 2:] * focal + 500
        videos.append(_video(camera, xyz, xy, focal))
    return videos


def _video(camera: str, xyz: np.ndarray, xy: np.ndarray, focal: float) -> DatasetVideo:
    score = np.ones((FRAMES, 17), np.float32)
    return DatasetVideo(
        name=f"anna, {camera}",
        subject="anna",
        action="walk",
        camera=camera,
        keypoints=KeypointSequence(xy.astype(np.float32), score, (1000, 1002), 50.0, H36M17),
        xyz=xyz.astype(np.float32),
        focal_px=focal,
        valid=np.ones(FRAMES, bool),
    )


def test_person_input_equals_the_service_input(
    videos: list[DatasetVideo], weights_file: Path
) -> None:
    video, lifter = videos[0], Lifter.load(weights_file)
    inputs, targets = prepare_video(video, "person")
    prepared = lifter.prepare(video.keypoints, video.focal_px)
    np.testing.assert_array_equal(inputs, prepared.inputs)
    back = lifter.finish(targets.astype(np.float32), prepared.rotation, None)
    np.testing.assert_allclose(back * video.size, video.relative, atol=1e-5)


def test_image_input_equals_the_published_normalisation(videos: list[DatasetVideo]) -> None:
    video = videos[0]
    inputs, targets = prepare_video(video, "image")
    x, y = np.moveaxis(video.keypoints.xy, -1, 0)
    expected = np.stack([x / 1000 * 2 - 1, y / 1000 * 2 - 1.002], axis=-1)
    np.testing.assert_allclose(inputs, expected, atol=1e-6)
    np.testing.assert_array_equal(targets, video.relative.astype(np.float32))


@pytest.mark.parametrize("normalisation", ["person", "image"])
def test_windows_are_rows_of_a_video_with_repeated_ends(
    videos: list[DatasetVideo], normalisation: Any
) -> None:
    generator = torch.Generator().manual_seed(0)
    source = video_batches(
        videos, normalisation, frames=5, frame_step=2, batch=64, mirror=False, generator=generator
    )
    batch = next(source)
    assert batch.inputs.shape == (64, 5, 17, 6 if normalisation == "person" else 2)
    assert batch.inputs.dtype == batch.targets.dtype == torch.float32
    expected = []
    for video in videos:
        inputs, targets = prepare_video(video, normalisation)
        for centre in range(FRAMES):
            rows = np.clip(centre + 2 * np.arange(-2, 3), 0, FRAMES - 1)
            expected.append((inputs[rows], targets[rows]))
    for window, target in zip(batch.inputs.numpy(), batch.targets.numpy(), strict=True):
        assert any((window == w).all() and (target == t).all() for w, t in expected)


def test_half_the_windows_are_mirrored(videos: list[DatasetVideo]) -> None:
    def windows(mirror: bool) -> Any:
        generator = torch.Generator().manual_seed(3)
        source = video_batches(
            videos[:1], "person", frames=3, batch=200, mirror=mirror, generator=generator
        )
        return next(source)

    plain, mixed = windows(False), windows(True)
    same = (mixed.inputs == plain.inputs).flatten(1).all(1)
    other = (mixed.inputs == mirror_input(plain.inputs)).flatten(1).all(1)
    assert (same ^ other).all()
    assert 60 < int(same.sum()) < 140
    assert (mixed.targets[other] == mirror_pose(plain.targets[other])).all()


def test_clips_keep_person_action_and_truth(videos: list[DatasetVideo], weights_file: Path) -> None:
    lifter = Lifter.load(weights_file)
    for clip, video in zip(video_clips(videos, "person"), videos, strict=True):
        assert (clip.person, clip.action) == (video.subject, video.action)
        np.testing.assert_allclose(clip.xyz * clip.size, video.relative, atol=1e-5)
        poses = lifter.lift(clip.keypoints, LiftOptions(focal_px=clip.focal_px))
        assert 0 < mpjpe(poses.xyz, clip.xyz) < 400
    (clip, *_) = video_clips(videos, "image")
    assert clip.size == 1
    np.testing.assert_allclose(clip.xyz, videos[0].relative, atol=1e-6)


def test_invalid_videos_raise(videos: list[DatasetVideo]) -> None:
    video = videos[0]
    with pytest.raises(InvalidInput, match="anna, left: 6 frames of 2D need xyz"):
        replace(video, xyz=video.xyz[:4])
    with pytest.raises(InvalidInput, match="anna, left: joints must be finite"):
        replace(video, xyz=video.xyz * np.float32("nan"))
    with pytest.raises(InvalidInput, match="anna, left: no frame is valid"):
        replace(video, valid=np.zeros(FRAMES, bool))
    with pytest.raises(InvalidInput, match="no videos to train on"):
        next(video_batches([], "person", frames=3, batch=2, generator=torch.Generator()))
