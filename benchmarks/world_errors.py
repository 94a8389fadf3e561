"""Errors in world space (positions, up axis, floor) under simulated cameras of known pose.

    .venv/bin/python benchmarks/world_errors.py MODEL.onnx RECORDINGS.npz... [--readout dense]

docs/world.md shows the table.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from model import H36M17, READOUTS, Lifter, LiftOptions, PoseSequence
from model.keypoints.sequences import Float32
from model.lifting.root import root_track
from model.motion.smoothing import smooth
from model.motion.world import PEOPLE_UPRIGHT, Room, level, room_of
from model.training.evaluation.errors import Clip, Floats, Placement, simulated_clips
from model.training.evaluation.tables import figures_table
from model.training.recordings import Recordings, load_recordings
from model.training.simulation.cameras import CameraRanges
from model.training.simulation.windows import evaluation_conditions

CLIP_FRAMES = 250
"""Five seconds at 50 frames/s."""
PLANTED_M_S = 0.1
"""An ankle slower than this is planted on the floor."""

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
"""Name -> camera ranges, and the assumed focal length as a multiple of the true one."""

_ANKLES = [H36M17.index("right_ankle"), H36M17.index("left_ankle")]


def world_errors(
    lifter: Lifter, recordings: Recordings, options: LiftOptions
) -> dict[str, dict[str, float]]:
    """A row for each condition and camera, mean over people: pelvis position in m, height of the
    lower ankle above the floor in cm, up axis in degrees, speed of planted ankles in cm/s, and the
    percentage of clips in which the up axis was found."""
    rows = {}
    for condition, simulation in evaluation_conditions().items():
        for name, (cameras, focal_factor) in CAMERAS.items():
            simulation = replace(simulation, cameras=cameras)
            clips = simulated_clips(recordings, simulation, frames=CLIP_FRAMES)
            rows[f"{condition}, {name}"] = _over_people(lifter, clips, options, focal_factor)
    return rows


def _over_people(
    lifter: Lifter, clips: Iterable[Clip], options: LiftOptions, focal_factor: float
) -> dict[str, float]:
    people: dict[str, list[dict[str, float]]] = {}
    for clip in clips:
        people.setdefault(clip.person, []).append(_errors(lifter, clip, options, focal_factor))
    names = next(iter(people.values()))[0]
    by_person = [
        {name: np.nanmean([row[name] for row in rows]) for name in names}
        for rows in people.values()
    ]
    return {name: float(np.mean([person[name] for person in by_person])) for name in names}


def _errors(
    lifter: Lifter, clip: Clip, options: LiftOptions, focal_factor: float
) -> dict[str, float]:
    assert clip.placement is not None and clip.focal_px is not None
    focal_px = clip.focal_px * focal_factor
    lifted = lifter.lift(clip.keypoints, replace(options, focal_px=focal_px))
    poses = smooth(lifted, "butterworth")
    root = root_track(poses, clip.keypoints, focal_px)
    true = clip.placement.root
    error, line_of_sight = root - true, true / np.linalg.norm(true, axis=1, keepdims=True)
    along = (error * line_of_sight).sum(axis=1)
    return {
        "distance, m": float(np.linalg.norm(true, axis=1).mean()),
        "root, m": float(np.linalg.norm(error, axis=1).mean()),
        "along the line of sight, m": float(np.abs(along).mean()),
        "across, m": float(np.linalg.norm(error - along[:, None] * line_of_sight, axis=1).mean()),
        **_floor_errors(poses, root, clip, clip.placement),
    }


def _floor_errors(
    poses: PoseSequence, root: Float32, clip: Clip, placement: Placement
) -> dict[str, float]:
    room = room_of([(poses, root)])
    truth = Room(level(placement.up.astype(np.float64)), placement.camera_height_m, PEOPLE_UPRIGHT)
    estimated = room.to_world(poses.xyz[:, _ANKLES] + root[:, None])
    true = truth.to_world(clip.xyz[:, _ANKLES] + placement.root[:, None])
    lower = estimated[..., 1].min(axis=1) - true[..., 1].min(axis=1)
    cosine = float(np.clip(room.rotation[1] @ placement.up, -1, 1))
    return {
        "up, degrees": float(np.degrees(np.arccos(cosine))),
        "feet's height, cm": 100 * float(np.abs(lower).mean()),
        "sliding, cm/s": _sliding(estimated, true, clip.keypoints.fps),
        "up found, %": 100 * float(room.assumes == PEOPLE_UPRIGHT),
    }


def _sliding(estimated: Floats, true: Floats, fps: float) -> float:
    """Speed of ankles (T, 2, 3) m that are planted in the true motion; NaN if none is."""
    planted = np.linalg.norm(np.diff(true, axis=0), axis=-1) * fps < PLANTED_M_S
    speed = np.linalg.norm(np.diff(estimated, axis=0), axis=-1) * fps
    return 100 * float(speed[planted].mean()) if planted.any() else float("nan")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("recordings", nargs="+", type=Path, help="npz files of motion capture")
    parser.add_argument("--readout", choices=READOUTS, default="centre")
    parser.add_argument("--flip", action="store_true", help="average with the mirrored input")
    parser.add_argument(
        "--rebuilt", action="store_true", help="use rebuilt skeletons instead of people's own"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to a file")
    options = parser.parse_args(arguments)
    recordings = load_recordings(options.recordings).kind(own=not options.rebuilt)
    lift_options = LiftOptions(options.readout, options.flip)
    rows = world_errors(Lifter.load(options.model), recordings, lift_options)
    print(figures_table(rows, digits=2))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
