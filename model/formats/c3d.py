"""C3D, for motion laboratories: one person."""

from pathlib import Path

import numpy as np

from model.errors import InvalidInput
from model.formats.trajectory import trajectory
from model.video.results import PersonMotion

MM = 1000.0
MAX_FRAMES = 65535
"""Frame numbers have 16 bits; few tools read the extension for more."""


def write_c3d(person: PersonMotion, duration_s: float, path: Path) -> None:
    """Each joint as a point, mm, Y up; as long as the video, at most 65,535 frames. Points have
    residual -1 where the person is missing. Raises InvalidInput for a person seen after that."""
    import ezc3d  # imported where needed: it loads slowly

    motion = trajectory(person, duration_s)
    last = int(np.flatnonzero(~np.isnan(motion.xyz[:, 0, 0]))[-1])
    if last >= MAX_FRAMES:
        raise InvalidInput(
            f"c3d holds at most {MAX_FRAMES} frames, the person is seen until frame "
            f"{last + 1}; use trc or csv, which have no limit",
            ("format",),
        )
    file = ezc3d.c3d()
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [person.poses.fps]
    point["LABELS"]["value"] = list(person.poses.skeleton.joints)
    point["UNITS"]["value"] = ["mm"]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Y"])
    points = np.moveaxis(motion.xyz[:MAX_FRAMES] * MM, 0, -1)  # (17, 3, T)
    joints, frames = points.shape[0], points.shape[2]
    # x, y, z, 1; NaN is written as residual -1
    file["data"]["points"] = np.ones((4, joints, frames))
    file["data"]["points"][:3] = points.transpose(1, 0, 2)
    file.write(str(path))
