"""CSV in long form, for pandas, R and spreadsheets: one row a joint."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from model.video.results import PersonMotion, VideoResult

COLUMNS = (
    "person",
    "frame",
    "time_s",
    "joint",
    "x_m",
    "y_m",
    "z_m",
    "u_px",
    "v_px",
    "score",
    "bridged",
    "confidence",
)


def write_csv(result: VideoResult, path: Path) -> None:
    """Everybody, ordered by person, frame and joint, in the poses' own axes (m), with the 2D they
    were lifted from (px); a joint that was not seen has a score of 0 and no u_px, v_px; `bridged`
    is 1 in frames in which the person was missed, and drawn in from those around, else 0;
    `confidence` is empty where the model gives none."""
    with path.open("w", newline="", encoding="ascii") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for person in result.people:
            rows.writerows(_rows(person))


def _rows(person: PersonMotion) -> Iterator[tuple[object, ...]]:
    joints = person.poses.skeleton.joints
    bridged_rows = np.isin(person.frames, person.bridged)
    for row, (frame, time_s) in enumerate(zip(person.frames, person.times_s, strict=True)):
        bridged = int(bridged_rows[row])
        begins = (person.id, int(frame), f"{time_s:.6f}")
        places = person.poses.xyz[row].tolist()
        pixels = person.keypoints.xy[row].tolist()
        scores = person.keypoints.confidence[row].tolist()
        sure = _sure(person, row)
        columns = zip(joints, places, pixels, scores, sure, strict=True)
        for joint, place, (u, v), score, confidence in columns:
            seen = (f"{u:.3f}", f"{v:.3f}") if score > 0 else ("", "")
            yield (
                *begins,
                joint,
                *(f"{axis:.6f}" for axis in place),
                *seen,
                f"{score:.4g}",
                bridged,
                confidence,
            )


def _sure(person: PersonMotion, row: int) -> list[str]:
    if person.confidence is None:
        return [""] * len(person.poses.skeleton.joints)
    return [f"{value:.3f}" for value in person.confidence[row].tolist()]
