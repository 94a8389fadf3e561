"""MPI-INF-3DHP, on small files in P-STMO's layout."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.errors import InvalidInput
from model.keypoints.skeleton import H36M17
from model.training.datasets import mpi_inf_3dhp
from model.training.datasets.videos import prepare_video, video_batches, video_clips

FRAMES = 6
MPI_JOINTS = (
    *("head", "thorax", "right_shoulder", "right_elbow", "right_wrist"),
    *("left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle"),
    *("left_hip", "left_knee", "left_ankle", "hip", "spine", "neck_nose"),
)
"""Our joint names in the order of the data set's "relevant" joints."""
MPI_FOCAL, MPI_CENTRE = 1497.7, np.array([1024.7, 1051.4])

Nested = dict[str, Any]


@pytest.fixture(scope="module")
def bodies(recordings_file: Path) -> np.ndarray:
    """Recorded poses, Y up, (FRAMES, 17, 3) m, at the origin."""
    file = np.load(recordings_file)
    joints = file["pos"][:FRAMES] * float(file["scale"])
    return joints - joints[:1, :1] * [1, 0, 1]


@pytest.fixture
def mpi_arrays(bodies: np.ndarray) -> Nested:
    """A person 4 m from a camera, in the data set's order and millimetres."""
    camera = bodies * [1, -1, -1] + [0.3, 1.0, 4.0]
    order = [H36M17.index(name) for name in MPI_JOINTS]
    xyz = camera[:, order]
    return {
        "data_3d": xyz * 1000,
        "data_2d": xyz[..., :2] / xyz[..., 2:] * MPI_FOCAL + MPI_CENTRE,
    }


def _save(path: Path, **values: Any) -> Path:
    np.savez_compressed(path, **values)
    return path


def test_load_training(mpi_arrays: Nested, bodies: np.ndarray, tmp_path: Path) -> None:
    cameras = dict.fromkeys(("0", "8"), mpi_arrays)
    path = _save(
        tmp_path / "data_train_3dhp.npz",
        data={"S1 Seq1": [cameras, 25], "S1 Seq2": [cameras, 50], "S2 Seq1": [cameras, 25]},
    )
    videos = mpi_inf_3dhp.load_training(path, subjects=["S1"])
    assert [(f.action, f.camera, f.keypoints.fps) for f in videos] == [
        *[("Seq1", "0", 25.0), ("Seq1", "8", 25.0)],
        *[("Seq2", "0", 50.0), ("Seq2", "8", 50.0)],
    ]
    video = videos[0]
    np.testing.assert_allclose(video.relative, (bodies - bodies[:, :1]) * [1, -1, -1], atol=1e-5)
    assert video.focal_px == pytest.approx(MPI_FOCAL, rel=1e-4)
    assert video.keypoints.image_size == (2048, 2048)
    pixels = video.xyz[..., :2] / video.xyz[..., 2:] * MPI_FOCAL + MPI_CENTRE
    np.testing.assert_allclose(video.keypoints.xy, pixels, atol=1e-2)
    generator = torch.Generator().manual_seed(0)
    for batch in islice(video_batches(videos, "image", frames=3, batch=8, generator=generator), 2):
        assert batch.inputs.abs().max() < 1.1
    with pytest.raises(InvalidInput, match="data_train_3dhp.npz: subject S7 is missing"):
        mpi_inf_3dhp.load_training(path, subjects=["S1", "S7"])


def test_load_test_keeps_only_valid_frames(mpi_arrays: Nested, tmp_path: Path) -> None:
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
    (clip,) = video_clips([five], "image")
    np.testing.assert_array_equal(np.isfinite(clip.xyz).all((1, 2)), five.valid)

    generator = torch.Generator().manual_seed(0)
    source = video_batches([five], "person", frames=1, batch=50, mirror=False, generator=generator)
    inputs, _ = prepare_video(five, "person")
    rows = {
        int(np.flatnonzero((inputs == w[0]).all((1, 2)))[0]) for w in next(source).inputs.numpy()
    }
    assert rows == {1, 2, 5}


def test_focal_length_is_none_if_no_camera_fits(mpi_arrays: Nested, tmp_path: Path) -> None:
    relative = mpi_arrays["data_3d"] - mpi_arrays["data_3d"][:, 14:15]
    path = _save(tmp_path / "data_test_3dhp.npz", data={"TS1": {**mpi_arrays, "data_3d": relative}})
    (video,) = mpi_inf_3dhp.load_test(path, subjects=["TS1"])
    assert video.focal_px is None


INVALID: dict[str, tuple[Callable[[Nested], Nested], str]] = {
    "no 2D": (lambda a: {"data_3d": a["data_3d"]}, "data_2d is missing"),
    "wrong joints": (
        lambda a: a | {"data_3d": a["data_3d"][:, :16]},
        r"data_3d must be \(frames, 17, 3\), got \(6, 16, 3\)",
    ),
    "lengths": (lambda a: a | {"data_2d": a["data_2d"][:4]}, "6 frames of 3D and 4 of 2D"),
    "all NaN": (lambda a: a | {"data_3d": a["data_3d"] * np.nan}, "no frame is valid"),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_arrays_raise(mpi_arrays: Nested, tmp_path: Path, case: str) -> None:
    corrupt, fault = INVALID[case]
    path = _save(tmp_path / "data_test_3dhp.npz", data={"TS1": corrupt(mpi_arrays)})
    with pytest.raises(InvalidInput, match=rf"data_test_3dhp\.npz: .*{fault}"):
        mpi_inf_3dhp.load_test(path, subjects=["TS1"])
    with pytest.raises(InvalidInput, match=r"data_test_3dhp\.npz: subject TS2 is missing"):
        mpi_inf_3dhp.load_test(path, subjects=["TS2"])
