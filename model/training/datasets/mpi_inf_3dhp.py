"""MPI-INF-3DHP in the file layouts that people hold (P-STMO's).

`data_train_3dhp.npz`: data["S1 Seq1"] = [{camera: {data_3d, data_2d}}, fps]; `data_test_3dhp.npz`:
data["TS1"] = {data_3d, data_2d, valid}. data_3d (T, 17, 3) mm in camera axes, scaled to one body
height; data_2d (T, 17, 2) px. The data are licensed to each user, for research only.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.keypoints.sequences import KeypointSequence
from model.keypoints.skeleton import H36M17
from model.training.datasets.filmed import Filmed
from model.training.datasets.pickled import read_pickled

Floats = NDArray[np.floating[Any]]

TRAIN_SUBJECTS = ("S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("TS1", "TS2", "TS3", "TS4", "TS5", "TS6")

_ORDER = (14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4)
"""Where H36M-17 stand among: top of the head, neck, right arm, left arm, right leg, left leg,
pelvis, spine, head."""
_PICTURE = (2048, 2048)
_OUTDOOR_PICTURE = (1920, 1080)
_OUTDOORS = ("TS5", "TS6")
_TEST_FPS = 25.0
"""Not in the file; it matters for velocities alone."""
_FAR_PX = 20.0
"""A fitted camera that misses the joints by more (median) explains nothing."""


class _Who(NamedTuple):
    """Which film, for what is said of it."""

    path: Path
    subject: str
    action: str
    camera: str

    def __str__(self) -> str:
        return f"{self.path}: {self.subject} {self.action}, camera {self.camera}"


def load_training(path: Path, *, subjects: Sequence[str] = TRAIN_SUBJECTS) -> list[Filmed]:
    """Each sequence before each of its cameras. Raises InvalidInput that names the file and the
    fault."""
    data = read_pickled(path, "data")
    films = []
    for subject in subjects:
        names = [name for name in data if name.split(" ")[0] == subject]
        if not names:
            raise InvalidInput(f"{path}: subject {subject} is missing; it holds {sorted(data)}")
        for name in names:
            cameras, fps = _sequence(path, name, data[name])
            for camera, arrays in cameras.items():
                who = _Who(path, subject, name.split(" ")[-1], str(camera))
                films.append(_film(who, arrays, fps, _PICTURE))
    return films


def load_test(path: Path, *, subjects: Sequence[str] = TEST_SUBJECTS) -> list[Filmed]:
    """Each test sequence; only its valid frames count. Raises InvalidInput that names the file and
    the fault."""
    data = read_pickled(path, "data")
    films = []
    for name in subjects:
        if name not in data:
            raise InvalidInput(f"{path}: subject {name} is missing; it holds {sorted(data)}")
        picture = _OUTDOOR_PICTURE if name in _OUTDOORS else _PICTURE
        films.append(_film(_Who(path, name, name, "0"), data[name], _TEST_FPS, picture))
    return films


def _sequence(path: Path, name: str, value: Any) -> tuple[Mapping[str, Any], float]:
    try:
        cameras, fps = value[0], float(value[1])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path}: {name} is a pair of cameras and fps") from error
    if not isinstance(cameras, Mapping):
        raise InvalidInput(f"{path}: {name} has no cameras")
    return cameras, fps


def _film(who: _Who, arrays: Mapping[str, Any], fps: float, picture: tuple[int, int]) -> Filmed:
    about = str(who)
    xyz, xy = _joints(about, arrays, "data_3d", 3), _joints(about, arrays, "data_2d", 2)
    if len(xyz) != len(xy):
        raise InvalidInput(f"{about}: {len(xyz)} frames of 3D and {len(xy)} of 2D")
    valid = np.asarray(arrays.get("valid", np.ones(len(xyz)))).reshape(-1).astype(bool)
    valid &= np.isfinite(xyz).all(axis=(1, 2))
    return Filmed(
        name=about,
        subject=who.subject,
        action=who.action,
        camera=who.camera,
        keypoints=KeypointSequence(
            xy=xy.astype(np.float32),
            confidence=np.isfinite(xy).all(axis=-1).astype(np.float32),
            image_size=picture,
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
        raise InvalidInput(f"{about}: {key} is (frames, 17, {width}), got {values.shape}")
    return values[:, list(_ORDER)]


def fit_focal(xyz: Floats, xy: Floats) -> float | None:
    """The focal length (px) of the camera that saw joints (T, J, 3) at pixels (T, J, 2): least
    squares of pixel = focal * ray + centre. The file does not hold it. None where no camera fits,
    as with joints that were made relative to the pelvis."""
    ahead = xyz[..., 2] > 0
    if not ahead.all() or not len(xyz):
        return None
    rays = (xyz[..., :2] / xyz[..., 2:]).reshape(-1, 2)
    pixels = xy.reshape(-1, 2)
    spread = rays - rays.mean(axis=0)
    focal = float((spread * (pixels - pixels.mean(axis=0))).sum() / (spread**2).sum())
    missed = np.linalg.norm(spread * focal - (pixels - pixels.mean(axis=0)), axis=-1)
    return focal if focal > 0 and np.median(missed) < _FAR_PX else None
