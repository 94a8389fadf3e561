"""Left/right swaps in a track, found by model.tracking.swaps."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from model.keypoints.joint_sets import COCO17
from model.tracking.swaps import swap_path as path_of
from model.tracking.swaps import swap_sides
from model.training.noise.tracks import Float64, Track

_LIMBS = 2
"""Legs and arms."""


@dataclass(frozen=True)
class SwapInterval:
    """Rows start..start + length - 1 of a track, in which legs, arms or all are swapped."""

    kind: str
    start: int
    length: int


def swap_path(track: Track) -> NDArray[np.bool_]:
    """Whether (legs, arms) are swapped in each frame: (T, 2)."""
    swapped = np.zeros((len(track.frames), _LIMBS), bool)
    seen = np.ones(track.score.shape, bool)
    for run in track.runs:
        xy = track.xy[run] / track.height_px[run, None, None]
        swapped[run] = path_of(xy, seen[run], COCO17)
    return swapped


def unswapped(track: Track, swapped: NDArray[np.bool_]) -> tuple[Float64, Float64]:
    """xy (T, 17, 2) and score (T, 17) with swaps repaired."""
    return swap_sides(track.xy, swapped, COCO17), swap_sides(track.score, swapped, COCO17)


def swap_intervals(swapped: NDArray[np.bool_]) -> list[SwapInterval]:
    """Runs of the same kind of swap in (T, 2)."""
    code = swapped @ np.array([1, 2])
    edges = np.flatnonzero(np.diff(code, prepend=0, append=0))
    kinds = ("", "legs", "arms", "all")
    return [
        SwapInterval(kinds[code[start]], int(start), int(end - start))
        for start, end in pairwise(edges)
        if code[start]
    ]
