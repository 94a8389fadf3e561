"""Joint angles as CSV: one row for each person and frame."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from model.motion.angles import ANGLES, joint_angles
from model.video.results import PersonMotion, VideoResult


def write_angles(result: VideoResult, path: Path) -> None:
    """All people, ordered by person and frame; degrees, blank where an angle is undefined."""
    with path.open("w", newline="", encoding="ascii") as file:
        rows = csv.writer(file)
        rows.writerow(("person", "frame", "time_s", *(f"{angle}_deg" for angle in ANGLES)))
        for person in result.people:
            rows.writerows(_rows(person))


def _rows(person: PersonMotion) -> Iterator[tuple[object, ...]]:
    angles = joint_angles(person.poses)
    for frame, time_s, row in zip(person.frames, person.times_s, angles, strict=True):
        cells = ("" if np.isnan(angle) else f"{angle:.3f}" for angle in row)
        yield (person.id, int(frame), f"{time_s:.6f}", *cells)
