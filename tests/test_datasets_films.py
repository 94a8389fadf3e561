"""Human3.6M and MPI-INF-3DHP in the layouts that people hold, made small here."""

import pickle
import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from model import Lifter, LiftOptions
from model.camera import mirror_input, mirror_pose
from model.errors import InvalidInput
from model.metrics import mpjpe
from model.skeleton import H36M17
from model.training.commands import run
from model.training.datasets import human36m, mpi_inf_3dhp
from model.training.datasets.filmed import Filmed, filmed_batches, filmed_clips, prepare_film
from model.training.datasets.human36m_cameras import LENSES, SUBJECTS, to_camera
from model.training.datasets.pickled import read_pickled
from model.training.recordings import load_recordings

FRAMES = 6
ACTIONS = ("Walking", "Walking 1", "Directions 1")
TAKEN = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
MPI_JOINTS = (
    *("head", "thorax", "right_shoulder", "right_elbow", "right_wrist"),
    *("left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle"),
    *("left_hip", "left_knee", "left_ankle", "hip", "spine", "neck_nose"),
)
"""Ours by name, in the order of the data set's own list of "relevant" joints."""
MPI_FOCAL, MPI_CENTRE = 1497.7, np.array([1024.7, 1051.4])

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


@pytest.fixture
def mpi_arrays(bodies: np.ndarray) -> Nested:
    """A person 4 m before a camera, in the data set's order and millimetres."""
    camera = bodies * [1, -1, -1] + [0.3, 1.0, 4.0]
    order = [H36M17.index(name) for name in MPI_JOINTS]
    xyz = camera[:, order]
    return {
        "data_3d": xyz * 1000,
        "data_2d": xyz[..., :2] / xyz[..., 2:] * MPI_FOCAL + MPI_CENTRE,
    }


@pytest.fixture
def films(positions: Path, detected: Path) -> list[Filmed]:
    return human36m.load_human36m(positions, detected, subjects=["S1"])


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


def test_mpi_inf_3dhp_training(mpi_arrays: Nested, bodies: np.ndarray, tmp_path: Path) -> None:
    cameras = dict.fromkeys(("0", "8"), mpi_arrays)
    path = _save(
        tmp_path / "data_train_3dhp.npz",
        data={"S1 Seq1": [cameras, 25], "S1 Seq2": [cameras, 50], "S2 Seq1": [cameras, 25]},
    )
    films = mpi_inf_3dhp.load_training(path, subjects=["S1"])
    assert [(f.action, f.camera, f.keypoints.fps) for f in films] == [
        *[("Seq1", "0", 25.0), ("Seq1", "8", 25.0)],
        *[("Seq2", "0", 50.0), ("Seq2", "8", 50.0)],
    ]
    film = films[0]
    np.testing.assert_allclose(film.relative, (bodies - bodies[:, :1]) * [1, -1, -1], atol=1e-5)
    assert film.focal_px == pytest.approx(MPI_FOCAL, rel=1e-4)
    assert film.keypoints.image_size == (2048, 2048)
    pixels = film.xyz[..., :2] / film.xyz[..., 2:] * MPI_FOCAL + MPI_CENTRE
    np.testing.assert_allclose(film.keypoints.xy, pixels, atol=1e-2)
    generator = torch.Generator().manual_seed(0)
    for batch in islice(filmed_batches(films, "image", frames=3, batch=8, generator=generator), 2):
        assert batch.inputs.abs().max() < 1.1
    with pytest.raises(InvalidInput, match="data_train_3dhp.npz: subject S7 is missing"):
        mpi_inf_3dhp.load_training(path, subjects=["S1", "S7"])


def test_mpi_inf_3dhp_test(mpi_arrays: Nested, tmp_path: Path) -> None:
    valid = np.array([0, 1, 1, 0, 0, 1.0])
    outdoors = {**mpi_arrays, "data_2d": mpi_arrays["data_2d"].copy(), "valid": valid}
    outdoors["data_2d"][0, 4] = np.nan
    path = _save(
        tmp_path / "data_test_3dhp.npz",
        data={"TS1": {**mpi_arrays, "valid": np.ones(FRAMES)}, "TS5": outdoors},
    )
    one, five = mpi_inf_3dhp.load_test(path, subjects=["TS1", "TS5"])
    assert one.valid.all()
    assert five.keypoints.image_size == (1920, 1080)
    assert five.keypoints.confidence[0].tolist() == [1] * 16 + [0]
    np.testing.assert_array_equal(five.valid, valid.astype(bool))
    (clip,) = filmed_clips([five], "image")
    np.testing.assert_array_equal(np.isfinite(clip.xyz).all((1, 2)), five.valid)

    generator = torch.Generator().manual_seed(0)
    source = filmed_batches([five], "person", frames=1, batch=50, mirror=False, generator=generator)
    inputs, _ = prepare_film(five, "person")
    rows = {
        int(np.flatnonzero((inputs == w[0]).all((1, 2)))[0]) for w in next(source).inputs.numpy()
    }
    assert rows == {1, 2, 5}


def test_a_camera_that_does_not_fit_is_not_known(mpi_arrays: Nested, tmp_path: Path) -> None:
    relative = mpi_arrays["data_3d"] - mpi_arrays["data_3d"][:, 14:15]
    path = _save(tmp_path / "data_test_3dhp.npz", data={"TS1": {**mpi_arrays, "data_3d": relative}})
    (film,) = mpi_inf_3dhp.load_test(path, subjects=["TS1"])
    assert film.focal_px is None


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("the pickle ran",)


def test_a_pickle_that_would_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _save(tmp_path / "trap.npz", positions_3d=np.array({"S1": _Trap()}))
    with pytest.raises(InvalidInput, match=r"trap\.npz: .*it asks for builtins\.print"):
        read_pickled(path, "positions_3d")
    assert "the pickle ran" not in capsys.readouterr().out


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("numpy", [b"numpy.core", b"numpy._core"])
def test_pickles_of_any_age_are_read(tmp_path: Path, protocol: int, numpy: bytes) -> None:
    value = np.array({"a": np.arange(3.0), "b": np.float32(2), "c": [1, "x"]})
    np.save(tmp_path / "data.npy", value)
    raw = (tmp_path / "data.npy").read_bytes()
    body = pickle.dumps(value, protocol=protocol)
    if protocol < 4:  # names end with their line there, and have a length before them later
        body = body.replace(b"numpy.core", numpy)
    path = tmp_path / "old.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", raw[: raw.index(b"\n") + 1] + body)
    found = read_pickled(path, "data")
    np.testing.assert_array_equal(found["a"], np.arange(3.0))
    assert found["b"] == 2
    assert found["c"] == [1, "x"]


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


MPI: dict[str, tuple[Callable[[Nested], None], str]] = {
    "no 2D": (lambda d: _without(d, "TS1", "data_2d"), "data_2d is missing"),
    "wrong joints": (
        _put(lambda a: np.concatenate([a, a], axis=1), "TS1", "data_3d"),
        r"data_3d is \(frames, 17, 3\), got \(6, 34, 3\)",
    ),
    "lengths": (_put(lambda a: a[:4], "TS1", "data_2d"), "6 frames of 3D and 4 of 2D"),
    "all NaN": (_put(lambda a: a * np.nan, "TS1", "data_3d"), "no frame is valid"),
    "no subject": (lambda d: _without(d, "TS1"), "subject TS1 is missing"),
}


@pytest.mark.parametrize("case", MPI)
def test_bad_mpi_arrays_are_named(mpi_arrays: Nested, tmp_path: Path, case: str) -> None:
    spoil, fault = MPI[case]
    data = {"TS1": dict(mpi_arrays)}
    spoil(data)
    path = _save(tmp_path / "data_test_3dhp.npz", data=data)
    with pytest.raises(InvalidInput, match=rf"data_test_3dhp\.npz: .*{fault}"):
        mpi_inf_3dhp.load_test(path, subjects=["TS1"])


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_a_file_cut_short(positions: Path, share: float) -> None:
    whole = positions.read_bytes()
    positions.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InvalidInput, match=r"data_3d_h36m\.npz: not a readable npz file"):
        human36m.load_human36m(positions, None, subjects=["S1"])


def test_a_file_of_another_kind(detected: Path, recordings_file: Path) -> None:
    with pytest.raises(InvalidInput, match="field positions_3d is missing"):
        human36m.load_human36m(detected, None, subjects=["S1"])
    with pytest.raises(InvalidInput, match="recordings.npz: not a readable npz file"):
        read_pickled(recordings_file, "pos")
