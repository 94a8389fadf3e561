"""What detecting every n-th frame only costs, and what it saves, against detecting every frame.

    .venv/bin/python benchmarks/detect_every.py CLIP...

Differences are means over the joints of all frames in which both runs have a person; speed is CPU
time of the whole pipeline, of runs in turn.
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
SEEN = 0.3
"""Joints that both see less surely than this are not compared."""


class Cost(NamedTuple):
    """Of one person: 2D in px and in body heights, 3D in mm, and the share of frames kept."""

    px: float
    heights: float
    mm: float
    kept: float


def main(clips: list[Path]) -> None:
    lifter = Lifter.load(model_named("poseformer-27", weights_folder()))
    print("| clip | n | 2D px | % of body height | 3D mm | frames kept | frames/s (CPU) |")
    print("|---|---|---|---|---|---|---|")
    for clip in clips:
        lift_video(clip, lifter)  # warms up
        everywhere = None
        for every in STEPS:
            start = time.process_time()
            result = lift_video(clip, lifter, VideoOptions(detect_every=every))
            rate = result.video.frames / (time.process_time() - start)
            everywhere = everywhere or result
            print(
                f"| {clip.stem} | {every} | {_row(everywhere, result)} | {rate:.1f} |", flush=True
            )


def _row(expected: VideoResult, found: VideoResult) -> str:
    costs = [_cost(person, _same(person, found)) for person in expected.people]
    px, heights, mm, kept = np.mean(costs, axis=0)
    return f"{px:.1f} | {100 * heights:.2f} | {mm:.1f} | {100 * kept:.0f} %"


def _same(person: PersonMotion, result: VideoResult) -> PersonMotion:
    """Who of the other run is this one: the nearest in 2D."""
    return min(result.people, key=lambda other: _cost(person, other).px)


def _cost(expected: PersonMotion, found: PersonMotion) -> Cost:
    common, rows, others = np.intersect1d(expected.frames, found.frames, return_indices=True)
    if not len(common):
        return Cost(np.inf, np.inf, np.inf, 0.0)
    a, b = expected.keypoints, found.keypoints
    seen = np.minimum(a.confidence[rows], b.confidence[others]) > SEEN
    apart_px = np.linalg.norm(a.xy[rows] - b.xy[others], axis=-1)
    px = float(apart_px[seen].mean()) if seen.any() else np.inf
    height_px = float(np.median(np.ptp(a.xy[rows][..., 1], axis=1)))
    apart_m = np.linalg.norm(expected.poses.xyz[rows] - found.poses.xyz[others], axis=-1)
    kept = len(common) / len(expected.frames)
    return Cost(px, px / height_px, 1000 * float(apart_m.mean()), kept)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
