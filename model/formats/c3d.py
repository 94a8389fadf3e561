"""C3D, the file of motion laboratories: one person."""

from pathlib import Path

import numpy as np

from model.errors import InvalidInput
from model.formats.trajectory import trajectory
from model.video.results import PersonMotion

MM = 1000.0
MAX_FRAMES = 65535
"""Frames are numbered with 16 bits; what goes beyond is read by few tools."""


def write_c3d(person: PersonMotion, path: Path) -> None:
    """Each joint as a point, mm, Y up; a person who is away leaves points with residual -1. Raises
    InvalidInput for a person seen after the video's frame 65,534."""
    # heavy, and needed for nothing else
    import ezc3d

    motion = trajectory(person)
    if motion.frames[-1] >= MAX_FRAMES:
        raise InvalidInput(
            f"c3d numbers at most {MAX_FRAMES} frames, the person is seen until frame "
            f"{motion.frames[-1] + 1}; trc and csv have no limit",
            ("format",),
        )
    file = ezc3d.c3d()
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [person.poses.fps]
    point["LABELS"]["value"] = list(person.poses.skeleton.joints)
    point["UNITS"]["value"] = ["mm"]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Y"])
    file["header"]["points"]["first_frame"] = int(motion.frames[0])
    places = np.moveaxis(motion.xyz * MM, 0, -1)
    joints, frames = places.shape[0], places.shape[2]
    # x, y, z, 1; NaN is written as residual -1
    file["data"]["points"] = np.ones((4, joints, frames))
    file["data"]["points"][:3] = places.transpose(1, 0, 2)
    file.write(str(path))
