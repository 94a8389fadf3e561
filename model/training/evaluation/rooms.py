"""Errors of where people are: their places, which way is up, and the floor, under simulated
cameras whose own places are known."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from model.keypoints.sequences import Float32, PoseSequence
from model.keypoints.skeleton import H36M17
from model.lifting.lifter import Lifter
from model.lifting.options import LiftOptions
from model.lifting.root import root_track
from model.motion.smoothing import smooth
from model.motion.world import PEOPLE_UPRIGHT, Room, level, room_of
from model.training.evaluation.errors import Clip, Floats, Place, clips
from model.training.recordings import Recordings
from model.training.simulation.cameras import CameraRanges
from model.training.simulation.simulate import evaluation_conditions

CLIP_FRAMES = 250
"""Five seconds: a short clip of one person."""
PLANTED_M_S = 0.1
"""An ankle slower than this stands on the floor."""

_STILL = CameraRanges(focal_unknown=0.0, moving=0.0)
_LEVEL = replace(_STILL, roll=0.0, pitch=(0.0, 0.0))
CAMERAS: Mapping[str, tuple[CameraRanges, float]] = {
    "as in training": (_STILL, 1.0),
    "focal length 20 % too short": (_STILL, 0.8),
    "focal length 20 % too long": (_STILL, 1.2),
    "level camera": (_LEVEL, 1.0),
    "30 degrees from above": (replace(_LEVEL, pitch=(30.0, 0.0)), 1.0),
    "15 degrees from below": (replace(_LEVEL, pitch=(-15.0, 0.0)), 1.0),
    "rolled by some 15 degrees": (replace(_STILL, roll=15.0), 1.0),
}
"""What is drawn, and how many times the true focal length is told."""

_ANKLES = [H36M17.index("right_ankle"), H36M17.index("left_ankle")]


def room_errors(
    lifter: Lifter, recordings: Recordings, options: LiftOptions
) -> dict[str, dict[str, float]]:
    """A row for each condition and camera, the mean over people: lengths in m (the pelvis), cm (the
    lower ankle's height over the floor), degrees (up), cm/s (planted ankles); and for how many
    clips up was found, in percent."""
    rows = {}
    for kind, simulation in evaluation_conditions().items():
        for name, (cameras, told) in CAMERAS.items():
            filmed = clips(recordings, replace(simulation, cameras=cameras), frames=CLIP_FRAMES)
            rows[f"{kind}, {name}"] = _over_people(lifter, filmed, options, told)
    return rows


def _over_people(
    lifter: Lifter, filmed: Iterable[Clip], options: LiftOptions, told: float
) -> dict[str, float]:
    people: dict[str, list[dict[str, float]]] = {}
    for clip in filmed:
        people.setdefault(clip.person, []).append(_errors(lifter, clip, options, told))
    names = next(iter(people.values()))[0]
    by_person = [
        {name: np.nanmean([row[name] for row in rows]) for name in names}
        for rows in people.values()
    ]
    return {name: float(np.mean([person[name] for person in by_person])) for name in names}


def _errors(lifter: Lifter, clip: Clip, options: LiftOptions, told: float) -> dict[str, float]:
    if clip.place is None or clip.focal_px is None:
        raise ValueError("the camera of a simulated clip is known")
    focal_px = clip.focal_px * told
    lifted = lifter.lift(clip.keypoints, replace(options, focal_px=focal_px))
    poses = smooth(lifted, "butterworth")
    root = root_track(poses, clip.keypoints, focal_px)
    true = clip.place.root
    off, sight = root - true, true / np.linalg.norm(true, axis=1, keepdims=True)
    along = (off * sight).sum(axis=1)
    return {
        "distance, m": float(np.linalg.norm(true, axis=1).mean()),
        "root, m": float(np.linalg.norm(off, axis=1).mean()),
        "along the sight, m": float(np.abs(along).mean()),
        "across, m": float(np.linalg.norm(off - along[:, None] * sight, axis=1).mean()),
        **_room_errors(poses, root, clip, clip.place),
    }


def _room_errors(poses: PoseSequence, root: Float32, clip: Clip, place: Place) -> dict[str, float]:
    room = room_of([(poses, root)])
    truth = Room(level(place.up.astype(np.float64)), place.camera_height_m, PEOPLE_UPRIGHT)
    found = room.to_world(poses.xyz[:, _ANKLES] + root[:, None])
    true = truth.to_world(clip.xyz[:, _ANKLES] + place.root[:, None])
    lower = found[..., 1].min(axis=1) - true[..., 1].min(axis=1)
    cosine = float(np.clip(room.rotation[1] @ place.up, -1, 1))
    return {
        "up, degrees": float(np.degrees(np.arccos(cosine))),
        "feet's height, cm": 100 * float(np.abs(lower).mean()),
        "sliding, cm/s": _sliding(found, true, clip.keypoints.fps),
        "up found, %": 100 * float(room.assumes == PEOPLE_UPRIGHT),
    }


def _sliding(found: Floats, true: Floats, fps: float) -> float:
    """How fast planted ankles move, found (T, 2, 3) against true (T, 2, 3) m; NaN where none is."""
    planted = np.linalg.norm(np.diff(true, axis=0), axis=-1) * fps < PLANTED_M_S
    speed = np.linalg.norm(np.diff(found, axis=0), axis=-1) * fps
    return 100 * float(speed[planted].mean()) if planted.any() else float("nan")
