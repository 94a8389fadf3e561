"""Films as windows to train on and clips to measure on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model import H36M17, InvalidInput, KeypointSequence, Lifter, LiftOptions
from model.lifting.camera import mirror_input, mirror_pose
from model.motion.metrics import mpjpe
from model.training.datasets.filmed import Filmed, filmed_batches, filmed_clips, prepare_film

FRAMES = 6


@pytest.fixture(scope="module")
def films(recordings_file: Path) -> list[Filmed]:
    """A real person in front of two cameras whose lenses differ."""
    file = np.load(recordings_file)
    bodies = file["pos"][:FRAMES] * float(file["scale"])
    found = []
    for camera, focal in (("left", 1100.0), ("right", 1300.0)):
        xyz = (bodies - bodies[:1, :1]) * [1, -1, -1] + [0.4, -0.1, 4.0]
        xy = xyz[..., :2] / xyz[..., 2:] * focal + 500
        found.append(_film(camera, xyz, xy, focal))
    return found


def _film(camera: str, xyz: np.ndarray, xy: np.ndarray, focal: float) -> Filmed:
    score = np.ones((FRAMES, 17), np.float32)
    return Filmed(
        name=f"anna, {camera}",
        subject="anna",
        action="walk",
        camera=camera,
        keypoints=KeypointSequence(xy.astype(np.float32), score, (1000, 1002), 50.0, H36M17),
        xyz=xyz.astype(np.float32),
        focal_px=focal,
        valid=np.ones(FRAMES, bool),
    )


def test_person_windows_are_what_the_service_prepares(
    films: list[Filmed], weights_file: Path
) -> None:
    film, lifter = films[0], Lifter.load(weights_file)
    inputs, targets = prepare_film(film, "person")
    prepared = lifter.prepare(film.keypoints, film.focal_px)
    np.testing.assert_array_equal(inputs, prepared.inputs)
    back = lifter.finish(targets.astype(np.float32), prepared.rotation, None)
    np.testing.assert_allclose(back * film.size, film.relative, atol=1e-5)


def test_image_windows_are_what_the_paper_reads(films: list[Filmed]) -> None:
    film = films[0]
    inputs, targets = prepare_film(film, "image")
    x, y = np.moveaxis(film.keypoints.xy, -1, 0)
    expected = np.stack([x / 1000 * 2 - 1, y / 1000 * 2 - 1.002], axis=-1)
    np.testing.assert_allclose(inputs, expected, atol=1e-6)
    np.testing.assert_array_equal(targets, film.relative.astype(np.float32))


@pytest.mark.parametrize("normalisation", ["person", "image"])
def test_windows_are_rows_of_a_film_with_repeated_ends(
    films: list[Filmed], normalisation: Any
) -> None:
    generator = torch.Generator().manual_seed(0)
    source = filmed_batches(
        films, normalisation, frames=5, frame_step=2, batch=64, mirror=False, generator=generator
    )
    batch = next(source)
    assert batch.inputs.shape == (64, 5, 17, 6 if normalisation == "person" else 2)
    assert batch.inputs.dtype == batch.targets.dtype == torch.float32
    wanted = []
    for film in films:
        inputs, targets = prepare_film(film, normalisation)
        for centre in range(FRAMES):
            rows = np.clip(centre + 2 * np.arange(-2, 3), 0, FRAMES - 1)
            wanted.append((inputs[rows], targets[rows]))
    for window, target in zip(batch.inputs.numpy(), batch.targets.numpy(), strict=True):
        found = [(window == w).all() and (target == t).all() for w, t in wanted]
        assert any(found)


def test_half_the_windows_are_mirrored(films: list[Filmed]) -> None:
    def windows(mirror: bool) -> Any:
        generator = torch.Generator().manual_seed(3)
        source = filmed_batches(
            films[:1], "person", frames=3, batch=200, mirror=mirror, generator=generator
        )
        return next(source)

    plain, mixed = windows(False), windows(True)
    same = (mixed.inputs == plain.inputs).flatten(1).all(1)
    other = (mixed.inputs == mirror_input(plain.inputs)).flatten(1).all(1)
    assert (same ^ other).all()
    assert 60 < int(same.sum()) < 140
    assert (mixed.targets[other] == mirror_pose(plain.targets[other])).all()


def test_clips_to_measure_on(films: list[Filmed], weights_file: Path) -> None:
    lifter = Lifter.load(weights_file)
    for clip, film in zip(filmed_clips(films, "person"), films, strict=True):
        assert (clip.person, clip.action) == (film.subject, film.action)
        np.testing.assert_allclose(clip.xyz * clip.size, film.relative, atol=1e-5)
        poses = lifter.lift(clip.keypoints, LiftOptions(focal_px=clip.focal_px))
        assert 0 < mpjpe(poses.xyz, clip.xyz) < 400
    (clip, *_) = filmed_clips(films, "image")
    assert clip.size == 1
    np.testing.assert_allclose(clip.xyz, films[0].relative, atol=1e-6)


def test_films_that_do_not_fit(films: list[Filmed]) -> None:
    film = films[0]
    with pytest.raises(InvalidInput, match="anna, left: 6 frames of 2D need joints"):
        replace(film, xyz=film.xyz[:4])
    with pytest.raises(InvalidInput, match="anna, left: joints are finite"):
        replace(film, xyz=film.xyz * np.float32("nan"))
    with pytest.raises(InvalidInput, match="anna, left: no frame is valid"):
        replace(film, valid=np.zeros(FRAMES, bool))
    with pytest.raises(InvalidInput, match="no films given"):
        next(filmed_batches([], "person", frames=3, batch=2, generator=torch.Generator()))
