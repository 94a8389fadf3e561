"""Left/right swaps in a track: the cheapest path over time through keep and swap.

Legs and arms may each be exchanged, so a frame has four states. A path pays for how far the joints
move from frame to frame (in body heights, with the speed they had), for every change of state, for
legs and arms that contradict each other, and a little for every frame that is swapped: so what
holds most of the time counts as right. Viterbi (1967) finds the cheapest path.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from model.joint_sets import COCO17
from model.training.noise.tracks import Float64, Track

CHANGE_COST = 0.05
"""Body heights of mean movement that a change must save."""
SWAPPED_COST = 0.004
"""Body heights for each swapped frame and limb."""
CONTRADICTION_COST = 0.02
"""Body heights where hips and shoulders, both clearly apart, point opposite ways."""
MOVEMENT_CAP = 0.5
"""Body heights beyond which a movement says nothing of left and right."""
APART = 0.06
"""Body heights that hips or shoulders must be apart to say which way they point."""

_MIRROR = np.array(COCO17.mirror)
_GROUPS = ("legs", "arms")
_LIMBS = {
    "legs": ("hip", "knee", "ankle"),
    "arms": ("shoulder", "elbow", "wrist"),
}
_ROWS = {
    group: np.array(
        [COCO17.index(f"{side}_{limb}") for limb in limbs for side in ("left", "right")]
    )
    for group, limbs in _LIMBS.items()
}
_STATES = ((False, False), (True, False), (False, True), (True, True))
"""Whether (legs, arms) are swapped."""


@dataclass(frozen=True)
class Spell:
    """Frames start..start + length of a track in which legs, arms or all are swapped."""

    kind: str
    start: int
    length: int


def swap_path(track: Track) -> NDArray[np.bool_]:
    """Whether (legs, arms) are swapped in each frame: (T, 2)."""
    swapped = np.zeros((len(track.frames), len(_GROUPS)), bool)
    for run in track.runs:
        swapped[run] = _path(track.xy[run] / track.height_px[run, None, None])
    return swapped


def unswapped(track: Track, swapped: NDArray[np.bool_]) -> tuple[Float64, Float64]:
    """xy (T, 17, 2) and score (T, 17) with the swapped limbs exchanged back."""
    xy, score = track.xy.copy(), track.score.copy()
    for column, group in enumerate(_GROUPS):
        rows, frames = _ROWS[group], np.flatnonzero(swapped[:, column])
        xy[np.ix_(frames, rows)] = track.xy[np.ix_(frames, _MIRROR[rows])]
        score[np.ix_(frames, rows)] = track.score[np.ix_(frames, _MIRROR[rows])]
    return xy, score


def spells(swapped: NDArray[np.bool_]) -> list[Spell]:
    """Runs of one and the same swap in (T, 2)."""
    code = swapped @ np.array([1, 2])
    edges = np.flatnonzero(np.diff(code, prepend=0, append=0))
    kinds = ("", "legs", "arms", "all")
    return [
        Spell(kinds[code[start]], int(start), int(end - start))
        for start, end in pairwise(edges)
        if code[start]
    ]


def _path(xy: Float64) -> NDArray[np.bool_]:
    """(T, 2) for consecutive frames xy (T, 17, 2) in body heights."""
    here = _frame_costs(xy)
    cost, back = here[0], []
    for frame in range(1, len(xy)):
        total = cost[:, None] + _step_costs(xy, frame)
        back.append(total.argmin(axis=0))
        cost = total.min(axis=0) + here[frame]
    path = [int(cost.argmin())]
    for previous in reversed(back):
        path.append(int(previous[path[-1]]))
    return np.array(_STATES)[path[::-1]]


def _frame_costs(xy: Float64) -> Float64:
    """(T, 4): what each state costs in itself."""
    states = np.array(_STATES)
    hips, shoulders = (
        xy[:, COCO17.index(f"left_{part}")] - xy[:, COCO17.index(f"right_{part}")]
        for part in ("hip", "shoulder")
    )
    apart = np.minimum(*(np.linalg.norm(v, axis=-1) for v in (hips, shoulders))) > APART
    opposite = ((hips * shoulders).sum(axis=-1) < 0)[:, None] ^ (states[:, 0] ^ states[:, 1])
    return SWAPPED_COST * states.sum(axis=1) + CONTRADICTION_COST * (opposite & apart[:, None])


def _step_costs(xy: Float64, frame: int) -> Float64:
    """(4, 4): from each state of the frame before to each state of this one."""
    costs = np.zeros((4, 4))
    for column, group in enumerate(_GROUPS):
        rows = _ROWS[group]
        now, before = xy[frame], xy[frame - 1]
        same = _movement(now[rows], before[rows])
        crossed = _movement(now[rows], before[_MIRROR[rows]])
        changes = np.array([[a[column] != b[column] for b in _STATES] for a in _STATES])
        costs += np.where(changes, crossed + CHANGE_COST, same)
    return costs


def _movement(now: Float64, before: Float64) -> float:
    return float(np.minimum(np.linalg.norm(now - before, axis=-1), MOVEMENT_CAP).mean())
