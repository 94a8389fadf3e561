"""Human3.6M in VideoPose3D's file layout.

`data_3d_h36m.npz`: positions_3d[subject][action] (T, 32, 3) world metres, Z up, 50 frames a second.
`data_2d_h36m_*.npz`: positions_2d[subject][action][camera] (T', 17, 2) px, T' >= T, from a detector
or true. The licence is personal and for research only, also for networks trained on the data.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.keypoints.sequences import KeypointSequence
from model.keypoints.skeleton import H36M17
from model.training.datasets.human36m_cameras import LENSES, SUBJECTS, to_camera
from model.training.datasets.motion import Motion
from model.training.datasets.pickled import read_pickled
from model.training.datasets.videos import DatasetVideo

Floats = NDArray[np.floating[Any]]

TRAIN_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("S9", "S11")
FPS = 50.0
POSITIONS = "positions_3d"
LICENCE = "Human3.6M: licensed to each user, research only (vision.imar.ro/human3.6m)"

_ALL_JOINTS = 32
_H36M17 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""Indices of H36M-17 among the 32; the others are duplicates or do not move."""


def load_human36m(
    positions: Path, keypoints: Path | None, *, subjects: Sequence[str]
) -> list[DatasetVideo]:
    """Each action of these subjects, seen by each of the four cameras.

    `keypoints` is a file of 2D keypoints; None projects the true joints with the published cameras.
    Raises InvalidInput naming the file and the fault.
    """
    world = _world(positions, subjects)
    pixels = read_pickled(keypoints, "positions_2d") if keypoints else None
    videos = []
    for (subject, action), joints in world.items():
        for camera in range(len(LENSES)):
            xyz = to_camera(joints, subject, camera)
            xy = LENSES[camera].project(xyz)
            if keypoints and pixels:
                xy = _detected(keypoints, pixels, (subject, action), camera, len(xyz))
            videos.append(_video(subject, action, camera, xyz, xy))
    return videos


def world_motions(positions: Path, subjects: Sequence[str] | None = None) -> Iterator[Motion]:
    """The recorded joints in world axes, Y up, for simulated cameras."""
    for (subject, action), joints in _world(positions, subjects).items():
        x, y, z = np.moveaxis(joints, -1, 0)
        yield Motion(
            name=f"{subject} {action}",
            subject=subject,
            action=_kind(action),
            joints=np.stack([x, z, -y], axis=-1),
            fps=FPS,
            source=positions.name,
            source_format="human3.6m npz",
            licence=LICENCE,
        )


def _world(path: Path, subjects: Sequence[str] | None) -> dict[tuple[str, str], Floats]:
    """(subject, action) -> 17 joints (T, 17, 3) m."""
    stored = read_pickled(path, POSITIONS)
    motions = {}
    for subject in stored if subjects is None else subjects:
        if subject not in stored:
            raise InvalidInput(
                f"{path}: subject {subject} is missing; the file has {sorted(stored)}"
            )
        if not isinstance(stored[subject], Mapping) or subject not in SUBJECTS:
            raise InvalidInput(f"{path}: {subject} is not a subject of Human3.6M with actions")
        for action, joints in stored[subject].items():
            motions[subject, action] = _h36m17(path, f"{subject} {action}", np.asarray(joints))
    return motions


def _h36m17(path: Path, name: str, joints: Floats) -> Floats:
    expected = (_ALL_JOINTS, 3)
    if joints.ndim == 3 and joints.shape[1:] == (len(_H36M17), 3):
        chosen = joints
    elif joints.ndim == 3 and joints.shape[1:] == expected:
        chosen = joints[:, list(_H36M17)]
    else:
        raise InvalidInput(f"{path}: {name} must be (frames, 32, 3), got {joints.shape}")
    if not np.isfinite(chosen).all():
        raise InvalidInput(f"{path}: {name} contains NaN")
    return chosen


def _detected(
    path: Path, pixels: Mapping[str, Any], key: tuple[str, str], camera: int, frames: int
) -> Floats:
    """The first `frames` frames of one camera's 2D; videos are longer than the motion capture."""
    name = " ".join(key)
    try:
        cameras = pixels[key[0]][key[1]]
    except (KeyError, TypeError, IndexError) as error:
        raise InvalidInput(f"{path}: {name} is missing") from error
    if len(cameras) != len(LENSES):
        raise InvalidInput(f"{path}: {name} must have {len(LENSES)} cameras, got {len(cameras)}")
    xy = np.asarray(cameras[camera])
    about = f"{path}: {name}, camera {LENSES[camera].name}"
    if xy.ndim != 3 or xy.shape[1:] != (len(H36M17.joints), 2) or len(xy) < frames:
        raise InvalidInput(f"{about}: 2D must be ({frames} or more, 17, 2), got {xy.shape}")
    if not np.isfinite(xy[:frames]).all():
        raise InvalidInput(f"{about}: 2D contains NaN")
    return xy[:frames]


def _video(subject: str, action: str, camera: int, xyz: Floats, xy: Floats) -> DatasetVideo:
    lens = LENSES[camera]
    return DatasetVideo(
        name=f"{subject} {action}, camera {lens.name}",
        subject=subject,
        action=_kind(action),
        camera=lens.name,
        keypoints=KeypointSequence(
            xy=xy.astype(np.float32),
            confidence=np.ones((len(xyz), len(H36M17.joints)), np.float32),
            image_size=lens.image_size,
            fps=FPS,
            skeleton=H36M17,
        ),
        xyz=xyz.astype(np.float32),
        focal_px=lens.focal_px,
        valid=np.ones(len(xyz), bool),
    )


def _kind(action: str) -> str:
    """One of the 15 actions; each was recorded twice, "Walking" and "Walking 1"."""
    return action.split(" ")[0]
