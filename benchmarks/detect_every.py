"""Difference and speed of detecting every n-th frame, compared with detecting every frame.

    .venv/bin/python benchmarks/detect_every.py VIDEO...

Differences are means over the joints of all frames in which both runs have the person; speed is
CPU time of the whole pipeline.
"""

import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model import (
    Lifter,
    PersonMotion,
    VideoOptions,
    VideoResult,
    lift_video,
    model_named,
    weights_folder,
)

STEPS = (1, 2, 3, 5, 8)
VISIBLE = 0.3
"""Joints with a lower score in either run are not compared."""


class Cost(NamedTuple):
    """Differences of one person: 2D in px and body heights, 3D in mm; share of frames kept."""

    px: float
    heights: float
    mm: float
    kept: float


def main(clips: list[Path]) -> None:
    lifter = Lifter.load(model_named("poseformer-27", weights_folder()))
    print("| clip | n | 2D px | % of body height | 3D mm | frames kept | frames/s (CPU) |")
    print("|---|---|---|---|---|---|---|")
    for clip in clips:
        lift_video(clip, lifter)  # warm-up
        expected = None
        for every in STEPS:
            start = time.process_time()
            result = lift_video(clip, lifter, VideoOptions(detect_every=every))
            rate = result.video.frames / (time.process_time() - start)
            expected = expected or result
            print(f"| {clip.stem} | {every} | {_row(expected, result)} | {rate:.1f} |", flush=True)


def _row(expected: VideoResult, actual: VideoResult) -> str:
    costs = [_cost(person, _same(person, actual)) for person in expected.people]
    px, heights, mm, kept = np.mean(costs, axis=0)
    return f"{px:.1f} | {100 * heights:.2f} | {mm:.1f} | {100 * kept:.0f} %"


def _same(person: PersonMotion, result: VideoResult) -> PersonMotion:
    """The same person in the other run: the nearest in 2D."""
    return min(result.people, key=lambda other: _cost(person, other).px)


def _cost(expected: PersonMotion, actual: PersonMotion) -> Cost:
    common, rows, others = np.intersect1d(expected.frames, actual.frames, return_indices=True)
    if not len(common):
        return Cost(np.inf, np.inf, np.inf, 0.0)
    a, b = expected.keypoints, actual.keypoints
    visible = np.minimum(a.confidence[rows], b.confidence[others]) > VISIBLE
    distance_px = np.linalg.norm(a.xy[rows] - b.xy[others], axis=-1)
    px = float(distance_px[visible].mean()) if visible.any() else np.inf
    height_px = float(np.median(np.ptp(a.xy[rows][..., 1], axis=1)))
    distance_m = np.linalg.norm(expected.poses.xyz[rows] - actual.poses.xyz[others], axis=-1)
    kept = len(common) / len(expected.frames)
    return Cost(px, px / height_px, 1000 * float(distance_m.mean()), kept)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
