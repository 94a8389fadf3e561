"""Human3.6M, on small files in VideoPose3D's layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from model.errors import InvalidInput
from model.keypoints.skeleton import H36M17
from model.lifting.lifter import Lifter
from model.training.commands import run
from model.training.datasets import human36m
from model.training.datasets.human36m_cameras import LENSES, SUBJECTS, to_camera
from model.training.recordings import load_recordings

FRAMES = 6
ACTIONS = ("Walking", "Walking 1", "Directions 1")
TAKEN = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]

Nested = dict[str, Any]


@pytest.fixture(scope="module")
def bodies(recordings_file: Path) -> np.ndarray:
    """Recorded poses, Y up, (FRAMES, 17, 3) m, at the centre of Human3.6M's room."""
    file = np.load(recordings_file)
    joints = file["pos"][:FRAMES] * float(file["scale"])
    return joints - joints[:1, :1] * [1, 0, 1]


@pytest.fixture
def positions(bodies: np.ndarray, tmp_path: Path) -> Path:
    """data_3d_h36m.npz: 32 joints, 15 of them unused, Z up."""
    x, y, z = np.moveaxis(bodies, -1, 0)
    world = np.full((FRAMES, 32, 3), 9.0, np.float32)
    world[:, TAKEN] = np.stack([x, -z, y], axis=-1)
    people = {
        subject: {action: world + 0.01 * i for i, action in enumerate(ACTIONS)}
        for subject in ("S1", "S9", "S11")
    }
    path = tmp_path / "data_3d_h36m.npz"
    np.savez_compressed(path, positions_3d=people)
    return path


@pytest.fixture
def detected(positions: Path, tmp_path: Path) -> Path:
    """data_2d_h36m_*.npz: shifted 2D, a few frames longer than the 3D."""
    pixels: Nested = {}
    for video in human36m.load_human36m(positions, None, subjects=["S1", "S9", "S11"]):
        xy = np.concatenate([video.keypoints.xy + 3, np.full((4, 17, 2), 7.0)])
        action = video.name.removeprefix(video.subject + " ").split(",")[0]
        pixels.setdefault(video.subject, {}).setdefault(action, []).append(xy)
    path = tmp_path / "data_2d_h36m_cpn_ft_h36m_dbb.npz"
    metadata = {"layout_name": "h36m", "num_joints": 17}
    np.savez_compressed(path, positions_2d=pixels, metadata=metadata)
    return path


def _save(path: Path, **values: Any) -> Path:
    np.savez_compressed(path, **values)
    return path


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("camera", range(4))
def test_cameras_project_like_opencv(bodies: np.ndarray, subject: str, camera: int) -> None:
    """Human3.6M's distortion lacks a part of OpenCV's tangential term: a few tenths of a pixel."""
    x, y, z = np.moveaxis(bodies, -1, 0)
    world, lens = np.stack([x, -z, y], axis=-1), LENSES[camera]
    xyz = to_camera(world, subject, camera)
    turned, _ = Rotation.align_vectors(
        xyz.reshape(-1, 3) - xyz[0, 0], world.reshape(-1, 3) - world[0, 0]
    )
    shift = xyz[0, 0] - turned.apply(world[0, 0])
    matrix = np.array([[lens.focal[0], 0, lens.centre[0]], [0, lens.focal[1], lens.centre[1]]])
    distortion = [*lens.radial[:2], *lens.tangential[::-1], lens.radial[2]]
    projected, _ = cv2.projectPoints(
        world.reshape(-1, 3),
        turned.as_rotvec(),
        shift,
        np.vstack([matrix, [0, 0, 1]]),
        np.array(distortion),
    )
    assert np.abs(lens.project(xyz).reshape(-1, 2) - projected[:, 0]).max() < 0.5
    assert ((projected > 0) & (projected < 1000)).all()  # inside the image
    assert (xyz[..., 2] > 2).all()
    assert (xyz[:, H36M17.index("head"), 1] < xyz[:, H36M17.index("left_ankle"), 1]).all()


def test_load_human36m_with_detected_2d(
    positions: Path, detected: Path, bodies: np.ndarray
) -> None:
    videos = human36m.load_human36m(positions, detected, subjects=human36m.TEST_SUBJECTS)
    assert len(videos) == 2 * len(ACTIONS) * 4
    assert {video.subject for video in videos} == {"S9", "S11"}
    assert {video.action for video in videos} == {"Walking", "Directions"}
    assert [video.camera for video in videos[:4]] == [lens.name for lens in LENSES]
    first = videos[0]
    assert first.keypoints.image_size == (1000, 1002)
    assert first.focal_px == pytest.approx(1144.4, abs=0.1)
    assert first.keypoints.xy.shape == (FRAMES, 17, 2)
    true = LENSES[0].project(first.xyz)
    np.testing.assert_allclose(first.keypoints.xy, true + 3, atol=2e-3)
    # bone lengths do not depend on the camera
    bones = np.diff(first.xyz[:, 11:14], axis=1)
    np.testing.assert_allclose(
        np.linalg.norm(bones, axis=-1),
        np.linalg.norm(np.diff(bodies[:, 11:14], axis=1), axis=-1),
        atol=1e-5,
    )


def test_import_motion_converts_human36m(
    positions: Path, bodies: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "h36m.npz"
    run("import-motion", [str(positions), "-o", str(output), "--split", "S9", "S11"])
    assert "h36m_val.npz: 6 sequences" in capsys.readouterr().out
    recordings = load_recordings([output])
    assert recordings.subjects == ("S1",) * 3
    assert recordings.actions == ("Walking", "Walking", "Directions")
    stored = recordings.positions.numpy() * float(np.load(output)["scale"])
    np.testing.assert_allclose(stored[:FRAMES], bodies, atol=0.00013)


def _without(nested: Nested, *keys: str) -> None:
    for key in keys[:-1]:
        nested = nested[key]
    del nested[keys[-1]]


def _put(value: Callable[[Any], Any], *keys: Any) -> Callable[[Nested], None]:
    def change(nested: Any) -> None:
        for key in keys[:-1]:
            nested = nested[key]
        nested[keys[-1]] = value(nested[keys[-1]])

    return change


def _nan(array: np.ndarray) -> np.ndarray:
    noisy = array.copy()
    noisy[2, 3] = np.nan
    return noisy


THREE_D: dict[str, tuple[Callable[[Nested], None], str]] = {
    "a missing subject": (lambda d: _without(d, "S1"), "subject S1 is missing; the file has"),
    "NaN": (_put(_nan, "S1", "Walking"), "S1 Walking contains NaN"),
    "wrong joints": (
        _put(lambda a: a[:, :20], "S1", "Walking"),
        r"S1 Walking must be \(frames, 32, 3",
    ),
    "no actions": (_put(lambda _: 3, "S1"), "S1 is not a subject of Human3.6M"),
}
TWO_D: dict[str, tuple[Callable[[Nested], None], str]] = {
    "a missing action": (lambda d: _without(d, "S1", "Walking 1"), "S1 Walking 1 is missing"),
    "a missing camera": (_put(lambda c: c[:3], "S1", "Walking"), "must have 4 cameras, got 3"),
    "wrong joints": (
        _put(lambda a: a[:, :16], "S1", "Walking", 2),
        r"camera 58860488: 2D must be \(6 or more, 17, 2\), got \(10, 16, 2\)",
    ),
    "too short": (_put(lambda a: a[:3], "S1", "Walking", 0), r"got \(3, 17, 2\)"),
    "NaN": (_put(_nan, "S1", "Walking", 1), "camera 55011271: 2D contains NaN"),
}


@pytest.mark.parametrize("case", THREE_D)
def test_invalid_positions_raise(positions: Path, case: str) -> None:
    corrupt, fault = THREE_D[case]
    people = np.load(positions, allow_pickle=True)["positions_3d"].item()
    corrupt(people)
    _save(positions, positions_3d=people)
    with pytest.raises(InvalidInput, match=rf"data_3d_h36m\.npz: .*{fault}"):
        human36m.load_human36m(positions, None, subjects=["S1"])


@pytest.mark.parametrize("case", TWO_D)
def test_invalid_detections_raise(positions: Path, detected: Path, case: str) -> None:
    corrupt, fault = TWO_D[case]
    pixels = np.load(detected, allow_pickle=True)["positions_2d"].item()
    corrupt(pixels)
    _save(detected, positions_2d=pixels)
    with pytest.raises(InvalidInput, match=rf"data_2d_h36m_cpn_ft_h36m_dbb\.npz: .*{fault}"):
        human36m.load_human36m(positions, detected, subjects=["S1"])


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_truncated_file_raises(positions: Path, share: float) -> None:
    whole = positions.read_bytes()
    positions.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InvalidInput, match=r"data_3d_h36m\.npz: not a readable npz file"):
        human36m.load_human36m(positions, None, subjects=["S1"])


def test_file_without_positions_raises(detected: Path) -> None:
    with pytest.raises(InvalidInput, match="field positions_3d is missing"):
        human36m.load_human36m(detected, None, subjects=["S1"])


@pytest.mark.parametrize("normalisation", ["person", "image"])
def test_train_export_and_evaluate_on_human36m(
    positions: Path,
    detected: Path,
    tmp_path: Path,
    normalisation: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(human36m, "TRAIN_SUBJECTS", ("S1",))
    videos = ["--human36m", str(positions), "--keypoints", str(detected)]
    checkpoint, model = str(tmp_path / "h36m.pt"), str(tmp_path / "h36m.onnx")
    small = [
        "--windows",
        "48",
        "--batch",
        "16",
        "--frames",
        "3",
        "--joint-width",
        "8",
        "--heads",
        "2",
    ]
    shallow = ["--spatial-depth", "1", "--temporal-depth", "1", "--normalisation"]
    assert run("train", [*videos, "-o", checkpoint, *small, *shallow, normalisation]) == 0
    assert run("export", [checkpoint, "-o", model, "--version", "1", "--licence", "mine"]) == 0
    info = Lifter.load(Path(model)).info
    assert (info.normalisation, info.licence) == (normalisation, "mine")
    assert info.readouts == (("centre", "dense") if normalisation == "person" else ("centre",))
    capsys.readouterr()
    assert run("evaluate", [model, *videos]) == 0
    assert "| videos |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name either recordings"),
        (["a.npz", "--human36m", "b.npz"], "name either recordings|b.npz"),
        (["--human36m", "b.npz", "--mpi-inf-3dhp", "c.npz"], "use one of --human36m"),
        (["a.npz", "--keypoints", "b.npz"], "only be used with --human36m"),
        (["a.npz", "--normalisation", "image"], "needs a published data set"),
    ],
)
def test_train_rejects_contradictory_sources(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=message):
        run("train", [*arguments, "-o", str(tmp_path / "run.pt"), "--windows", "16"])
