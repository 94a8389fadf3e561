"""CSV in long form, for pandas, R and spreadsheets: one row for each person, frame and joint."""

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
    """All people, ordered by person, frame and joint; docs/formats.md describes the columns.

    x, y, z are in the poses' own axes; an unseen joint has score 0 and blank u_px, v_px;
    `confidence` is blank if the model has none.
    """
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
        prefix = (person.id, int(frame), f"{time_s:.6f}")
        positions = person.poses.xyz[row].tolist()
        pixels = person.keypoints.xy[row].tolist()
        scores = person.keypoints.confidence[row].tolist()
        confidences = _confidences(person, row)
        columns = zip(joints, positions, pixels, scores, confidences, strict=True)
        for joint, position, (u, v), score, confidence in columns:
            uv = (f"{u:.3f}", f"{v:.3f}") if score > 0 else ("", "")
            yield (
                *prefix,
                joint,
                *(f"{axis:.6f}" for axis in position),
                *uv,
                f"{score:.4g}",
                bridged,
                confidence,
            )


def _confidences(person: PersonMotion, row: int) -> list[str]:
    if person.confidence is None:
        return [""] * len(person.poses.skeleton.joints)
    return [f"{value:.3f}" for value in person.confidence[row].tolist()]
