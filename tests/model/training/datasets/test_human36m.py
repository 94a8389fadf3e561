"""Human3.6M in the layouts that people hold, made small here."""

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
    """Real poses, Y up, (FRAMES, 17, 3) m, standing where Human3.6M's people stand."""
    file = np.load(recordings_file)
    joints = file["pos"][:FRAMES] * float(file["scale"])
    return joints - joints[:1, :1] * [1, 0, 1]


@pytest.fixture
def positions(bodies: np.ndarray, tmp_path: Path) -> Path:
    """data_3d_h36m.npz: 32 joints, of which 15 are not meant, Z up."""
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
    """data_2d_h36m_*.npz: what a detector said, a few frames longer than the 3D."""
    pixels: Nested = {}
    for film in human36m.load_human36m(positions, None, subjects=["S1", "S9", "S11"]):
        said = np.concatenate([film.keypoints.xy + 3, np.full((4, 17, 2), 7.0)])
        action = film.name.removeprefix(film.subject + " ").split(",")[0]
        pixels.setdefault(film.subject, {}).setdefault(action, []).append(said)
    path = tmp_path / "data_2d_h36m_cpn_ft_h36m_dbb.npz"
    metadata = {"layout_name": "h36m", "num_joints": 17}
    np.savez_compressed(path, positions_2d=pixels, metadata=metadata)
    return path


def _save(path: Path, **values: Any) -> Path:
    np.savez_compressed(path, **values)
    return path


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("camera", range(4))
def test_cameras_against_opencv(bodies: np.ndarray, subject: str, camera: int) -> None:
    """Human3.6M's own lens lacks a part of OpenCV's tangential term: a few tenths of a pixel."""
    x, y, z = np.moveaxis(bodies, -1, 0)
    world, lens = np.stack([x, -z, y], axis=-1), LENSES[camera]
    xyz = to_camera(world, subject, camera)
    turned, _ = Rotation.align_vectors(
        xyz.reshape(-1, 3) - xyz[0, 0], world.reshape(-1, 3) - world[0, 0]
    )
    shift = xyz[0, 0] - turned.apply(world[0, 0])
    matrix = np.array([[lens.focal[0], 0, lens.centre[0]], [0, lens.focal[1], lens.centre[1]]])
    distortion = [*lens.radial[:2], *lens.tangential[::-1], lens.radial[2]]
    seen, _ = cv2.projectPoints(
        world.reshape(-1, 3),
        turned.as_rotvec(),
        shift,
        np.vstack([matrix, [0, 0, 1]]),
        np.array(distortion),
    )
    assert np.abs(lens.project(xyz).reshape(-1, 2) - seen[:, 0]).max() < 0.5
    assert ((seen > 0) & (seen < 1000)).all()  # in the picture
    assert (xyz[..., 2] > 2).all()
    assert (xyz[:, H36M17.index("head"), 1] < xyz[:, H36M17.index("left_ankle"), 1]).all()


def test_human36m_with_a_detectors_2d(positions: Path, detected: Path, bodies: np.ndarray) -> None:
    films = human36m.load_human36m(positions, detected, subjects=human36m.TEST_SUBJECTS)
    assert len(films) == 2 * len(ACTIONS) * 4
    assert {film.subject for film in films} == {"S9", "S11"}
    assert {film.action for film in films} == {"Walking", "Directions"}
    assert [film.camera for film in films[:4]] == [lens.name for lens in LENSES]
    first = films[0]
    assert first.keypoints.image_size == (1000, 1002)
    assert first.focal_px == pytest.approx(1144.4, abs=0.1)
    assert first.keypoints.xy.shape == (FRAMES, 17, 2)
    true = LENSES[0].project(first.xyz)
    np.testing.assert_allclose(first.keypoints.xy, true + 3, atol=2e-3)
    # the same body, however the camera stands
    bones = np.diff(first.xyz[:, 11:14], axis=1)
    np.testing.assert_allclose(
        np.linalg.norm(bones, axis=-1),
        np.linalg.norm(np.diff(bodies[:, 11:14], axis=1), axis=-1),
        atol=1e-5,
    )


def test_human36m_as_recordings(
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
    spoilt = array.copy()
    spoilt[2, 3] = np.nan
    return spoilt


THREE_D: dict[str, tuple[Callable[[Nested], None], str]] = {
    "a missing subject": (lambda d: _without(d, "S1"), "subject S1 is missing; it holds"),
    "NaN": (_put(_nan, "S1", "Walking"), "S1 Walking holds NaN"),
    "wrong joints": (_put(lambda a: a[:, :20], "S1", "Walking"), r"S1 Walking is \(frames, 32, 3"),
    "no actions": (_put(lambda _: 3, "S1"), "S1 is no subject of Human3.6M"),
}
TWO_D: dict[str, tuple[Callable[[Nested], None], str]] = {
    "a missing action": (lambda d: _without(d, "S1", "Walking 1"), "S1 Walking 1 is missing"),
    "a missing camera": (_put(lambda c: c[:3], "S1", "Walking"), "has 4 cameras, got 3"),
    "wrong joints": (
        _put(lambda a: a[:, :16], "S1", "Walking", 2),
        r"camera 58860488: 2D is \(6 or more, 17, 2\), got \(10, 16, 2\)",
    ),
    "too short": (_put(lambda a: a[:3], "S1", "Walking", 0), r"got \(3, 17, 2\)"),
    "NaN": (_put(_nan, "S1", "Walking", 1), "camera 55011271: 2D holds NaN"),
}


@pytest.mark.parametrize("case", THREE_D)
def test_bad_positions_are_named(positions: Path, case: str) -> None:
    spoil, fault = THREE_D[case]
    people = np.load(positions, allow_pickle=True)["positions_3d"].item()
    spoil(people)
    _save(positions, positions_3d=people)
    with pytest.raises(InvalidInput, match=rf"data_3d_h36m\.npz: .*{fault}"):
        human36m.load_human36m(positions, None, subjects=["S1"])


@pytest.mark.parametrize("case", TWO_D)
def test_bad_detections_are_named(positions: Path, detected: Path, case: str) -> None:
    spoil, fault = TWO_D[case]
    pixels = np.load(detected, allow_pickle=True)["positions_2d"].item()
    spoil(pixels)
    _save(detected, positions_2d=pixels)
    with pytest.raises(InvalidInput, match=rf"data_2d_h36m_cpn_ft_h36m_dbb\.npz: .*{fault}"):
        human36m.load_human36m(positions, detected, subjects=["S1"])


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_a_file_cut_short(positions: Path, share: float) -> None:
    whole = positions.read_bytes()
    positions.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InvalidInput, match=r"data_3d_h36m\.npz: not a readable npz file"):
        human36m.load_human36m(positions, None, subjects=["S1"])


def test_a_file_of_another_kind(detected: Path) -> None:
    with pytest.raises(InvalidInput, match="field positions_3d is missing"):
        human36m.load_human36m(detected, None, subjects=["S1"])


@pytest.mark.parametrize("normalisation", ["person", "image"])
def test_trained_and_measured_on_its_films(
    positions: Path,
    detected: Path,
    tmp_path: Path,
    normalisation: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The whole way of somebody who holds Human3.6M, by commands."""
    monkeypatch.setattr(human36m, "TRAIN_SUBJECTS", ("S1",))
    films = ["--human36m", str(positions), "--keypoints", str(detected)]
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
    assert run("train", [*films, "-o", checkpoint, *small, *shallow, normalisation]) == 0
    assert run("export", [checkpoint, "-o", model, "--version", "1", "--licence", "mine"]) == 0
    info = Lifter.load(Path(model)).info
    assert (info.normalisation, info.licence) == (normalisation, "mine")
    assert info.readouts == (("centre", "dense") if normalisation == "person" else ("centre",))
    capsys.readouterr()
    assert run("evaluate", [model, *films]) == 0
    assert "| films |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of the two"),
        (["a.npz", "--human36m", "b.npz"], "one of the two|b.npz"),
        (["--human36m", "b.npz", "--mpi-inf-3dhp", "c.npz"], "one published data set"),
        (["a.npz", "--keypoints", "b.npz"], "the 2D of --human36m"),
        (["a.npz", "--normalisation", "image"], "for films"),
    ],
)
def test_what_is_trained_on_is_said_once(arguments: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=said):
        run("train", [*arguments, "-o", str(tmp_path / "run.pt"), "--windows", "16"])
