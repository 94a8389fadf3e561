"""MPI-INF-3DHP in P-STMO's file layout.

`data_train_3dhp.npz`: data["S1 Seq1"] = [{camera: {data_3d, data_2d}}, fps]; `data_test_3dhp.npz`:
data["TS1"] = {data_3d, data_2d, valid}. data_3d (T, 17, 3) mm in camera axes, scaled to one body
height; data_2d (T, 17, 2) px. The licence is personal and for research only.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.keypoints.sequences import KeypointSequence
from model.keypoints.skeleton import H36M17
from model.training.datasets.pickled import read_pickled
from model.training.datasets.videos import DatasetVideo

Floats = NDArray[np.floating[Any]]

TRAIN_SUBJECTS = ("S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("TS1", "TS2", "TS3", "TS4", "TS5", "TS6")

_ORDER = (14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4)
"""Indices of H36M-17 among: top of the head, neck, right arm, left arm, right leg, left leg,
pelvis, spine, head."""
_IMAGE_SIZE = (2048, 2048)
_OUTDOOR_IMAGE_SIZE = (1920, 1080)
_OUTDOORS = ("TS5", "TS6")
_TEST_FPS = 25.0
"""Not in the file; only velocities depend on it."""
_MAX_ERROR_PX = 20.0
"""A fitted camera with a larger median error is rejected."""


class _Source(NamedTuple):
    """Names one video in messages."""

    path: Path
    subject: str
    action: str
    camera: str

    def __str__(self) -> str:
        return f"{self.path}: {self.subject} {self.action}, camera {self.camera}"


def load_training(path: Path, *, subjects: Sequence[str] = TRAIN_SUBJECTS) -> list[DatasetVideo]:
    """Each sequence, seen by each of its cameras. Raises InvalidInput naming the file and the
    fault."""
    data = read_pickled(path, "data")
    videos = []
    for subject in subjects:
        names = [name for name in data if name.split(" ")[0] == subject]
        if not names:
            raise InvalidInput(f"{path}: subject {subject} is missing; the file has {sorted(data)}")
        for name in names:
            cameras, fps = _sequence(path, name, data[name])
            for camera, arrays in cameras.items():
                source = _Source(path, subject, name.split(" ")[-1], str(camera))
                videos.append(_video(source, arrays, fps, _IMAGE_SIZE))
    return videos


def load_test(path: Path, *, subjects: Sequence[str] = TEST_SUBJECTS) -> list[DatasetVideo]:
    """Each test sequence. Raises InvalidInput naming the file and the fault."""
    data = read_pickled(path, "data")
    videos = []
    for name in subjects:
        if name not in data:
            raise InvalidInput(f"{path}: subject {name} is missing; the file has {sorted(data)}")
        image_size = _OUTDOOR_IMAGE_SIZE if name in _OUTDOORS else _IMAGE_SIZE
        source = _Source(path, name, name, "0")
        videos.append(_video(source, data[name], _TEST_FPS, image_size))
    return videos


def _sequence(path: Path, name: str, value: Any) -> tuple[Mapping[str, Any], float]:
    try:
        cameras, fps = value[0], float(value[1])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path}: {name} must be a pair of cameras and fps") from error
    if not isinstance(cameras, Mapping):
        raise InvalidInput(f"{path}: {name} has no cameras")
    return cameras, fps


def _video(
    source: _Source, arrays: Mapping[str, Any], fps: float, image_size: tuple[int, int]
) -> DatasetVideo:
    about = str(source)
    xyz, xy = _joints(about, arrays, "data_3d", 3), _joints(about, arrays, "data_2d", 2)
    if len(xyz) != len(xy):
        raise InvalidInput(f"{about}: {len(xyz)} frames of 3D and {len(xy)} of 2D")
    valid = np.asarray(arrays.get("valid", np.ones(len(xyz)))).reshape(-1).astype(bool)
    valid &= np.isfinite(xyz).all(axis=(1, 2))
    return DatasetVideo(
        name=about,
        subject=source.subject,
        action=source.action,
        camera=source.camera,
        keypoints=KeypointSequence(
            xy=xy.astype(np.float32),
            confidence=np.isfinite(xy).all(axis=-1).astype(np.float32),
            image_size=image_size,
            fps=fps,
            skeleton=H36M17,
        ),
        xyz=(xyz / 1000).astype(np.float32),
        focal_px=fit_focal(xyz[valid], xy[valid]),
        valid=valid,
    )


def _joints(about: str, arrays: Mapping[str, Any], key: str, width: int) -> Floats:
    """Joints in our order, (T, 17, width)."""
    try:
        values = np.asarray(arrays[key], np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{about}: {key} is missing or not numbers") from error
    if values.ndim != 3 or values.shape[1:] != (len(_ORDER), width):
        raise InvalidInput(f"{about}: {key} must be (frames, 17, {width}), got {values.shape}")
    return values[:, list(_ORDER)]


def fit_focal(xyz: Floats, xy: Floats) -> float | None:
    """The focal length (px) of the camera that projects joints (T, J, 3) to pixels (T, J, 2), which
    the file lacks: least squares of pixel = focal * ray + centre. None if no camera fits, for
    example if joints are relative to the pelvis."""
    ahead = xyz[..., 2] > 0
    if not ahead.all() or not len(xyz):
        return None
    rays = (xyz[..., :2] / xyz[..., 2:]).reshape(-1, 2)
    pixels = xy.reshape(-1, 2)
    spread = rays - rays.mean(axis=0)
    focal = float((spread * (pixels - pixels.mean(axis=0))).sum() / (spread**2).sum())
    errors = np.linalg.norm(spread * focal - (pixels - pixels.mean(axis=0)), axis=-1)
    return focal if focal > 0 and np.median(errors) < _MAX_ERROR_PX else None
