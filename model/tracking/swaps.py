"""Left and right, where a detector took one for the other: found as a path over time, and undone.

Legs and arms may each be exchanged, so a frame has four states. A path pays for how far the joints
move from frame to frame, for every change of state, for hips and shoulders that point opposite
ways, and a little for every frame that is swapped: so what holds most of the time counts as right.
A test for jumps alone would fail on a clip that begins swapped or stays so for long. Where a change
comes while both sides lie over each other in the picture, nothing tells it. Viterbi (1967)
finds the cheapest path of a whole sequence; a stream takes the cheapest up to now. All costs are in
body heights.
"""

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.keypoints.sequences import KeypointSequence
from model.keypoints.skeleton import Skeleton

CHANGE_COST = 0.05
"""Mean movement that a change must save."""
SWAPPED_COST = 0.001
"""For each swapped frame and limb: a swap of a second and a half in a hundred frames is undone, and
a doubtful one is not."""
CONTRADICTION_COST = 0.02
"""Where hips and shoulders, both clearly apart, point opposite ways."""
MOVEMENT_CAP = 0.5
"""Beyond it a movement says nothing of left and right."""
APART = 0.06
"""How far apart hips or shoulders must be to say which way they point."""
HEIGHT_FRAMES = 25
"""Newest frames whose median box is the body's height."""

_LIMBS = (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
_STATES = np.array([(False, False), (True, False), (False, True), (True, True)])
_CHANGES = _STATES[:, None] != _STATES  # (from, to, limb)

Id = TypeVar("Id", bound=Hashable)
Floats = NDArray[np.floating[Any]]
Swapped = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class _Frame:
    """xy (J, 2) in body heights, seen (J,)."""

    xy: Floats
    seen: Swapped


def swap_path(xy: Floats, seen: Swapped, skeleton: Skeleton) -> Swapped:
    """Whether (legs, arms) are swapped in each of consecutive frames: xy (T, J, 2) in body heights,
    seen (T, J) -> (T, 2)."""
    path = _Path(skeleton)
    back = [path.step(_Frame(*frame)) for frame in zip(xy, seen, strict=True)]
    states = [int(path.cost.argmin())]
    for previous in reversed(back[1:]):
        states.append(int(previous[states[-1]]))
    found: Swapped = _STATES[states[::-1]]
    return found


def exchange(values: Floats, swapped: Swapped, skeleton: Skeleton) -> Floats:
    """Values (T, J, ...) with the sides of the swapped (T, 2) legs and arms exchanged."""
    exchanged = np.array(values)
    for limb, rows in enumerate(_rows(skeleton)):
        frames = np.flatnonzero(swapped[:, limb])
        mirrored = np.array(skeleton.mirror)[rows]
        exchanged[np.ix_(frames, rows)] = values[np.ix_(frames, mirrored)]
    return exchanged


def undo_swaps(sequence: KeypointSequence) -> tuple[KeypointSequence, Swapped]:
    """One person's consecutive frames with left and right put right, and where (legs, arms) were
    exchanged: (T, 2). For a whole sequence, because it looks ahead."""
    seen = sequence.confidence > 0
    heights = _Heights()
    scaled = [xy / heights.add(xy, here) for xy, here in zip(sequence.xy, seen, strict=True)]
    swapped = swap_path(np.stack(scaled), seen, sequence.skeleton)
    return _exchanged(sequence, swapped), swapped


class SwapRepair:
    """The same for a stream, which does not look ahead: `push` the next frames of one person."""

    def __init__(self, skeleton: Skeleton):
        self._path = _Path(skeleton)
        self._heights = _Heights()

    def push(self, sequence: KeypointSequence) -> tuple[KeypointSequence, Swapped]:
        states = []
        for xy, score in zip(sequence.xy, sequence.confidence, strict=True):
            seen = score > 0
            self._path.step(_Frame(xy / self._heights.add(xy, seen), seen))
            states.append(int(self._path.cost.argmin()))
        swapped: Swapped = _STATES[states]
        return _exchanged(sequence, swapped), swapped


class SwapRepairs(Generic[Id]):
    """A SwapRepair for each person of a stream; a person who was absent begins anew."""

    def __init__(self) -> None:
        self._repairs: dict[Id, SwapRepair] = {}

    def push(self, people: Mapping[Id, KeypointSequence]) -> dict[Id, KeypointSequence]:
        """The next frames of all people present, H36M-17 -> the same, repaired."""
        self._repairs = {
            id: self._repairs.get(id) or SwapRepair(sequence.skeleton)
            for id, sequence in people.items()
        }
        return {id: self._repairs[id].push(sequence)[0] for id, sequence in people.items()}


def _exchanged(sequence: KeypointSequence, swapped: Swapped) -> KeypointSequence:
    if not swapped.any():
        return sequence
    skeleton = sequence.skeleton
    return replace(
        sequence,
        xy=exchange(sequence.xy, swapped, skeleton),
        confidence=exchange(sequence.confidence, swapped, skeleton),
    )


class _Heights:
    """The body's height in px, from the boxes of the newest frames."""

    def __init__(self) -> None:
        self._newest: deque[float] = deque(maxlen=HEIGHT_FRAMES)

    def add(self, xy: Floats, seen: Swapped) -> float:
        if seen.any():
            here = xy[seen]
            self._newest.append(float((here.max(axis=0) - here.min(axis=0)).max()))
        return max(1.0, float(np.median(self._newest))) if self._newest else 1.0


class _Path:
    """The cheapest way to each of the four states of the newest frame."""

    def __init__(self, skeleton: Skeleton):
        self.cost = np.zeros(len(_STATES))
        self._limbs = _rows(skeleton)
        self._mirror = np.array(skeleton.mirror)
        self._sides = [
            (skeleton.index(f"left_{part}"), skeleton.index(f"right_{part}"))
            for part in ("hip", "shoulder")
        ]
        self._before: _Frame | None = None

    def step(self, frame: _Frame) -> NDArray[np.int64]:
        """Take the next frame; give the best state before it for each of its states."""
        before, self._before = self._before, frame
        if before is None:
            self.cost = self._frame_costs(frame)
            return np.arange(len(_STATES))
        total = self.cost[:, None] + self._step_costs(frame, before)
        back: NDArray[np.int64] = total.argmin(axis=0)
        self.cost = total.min(axis=0) + self._frame_costs(frame)
        return back

    def _frame_costs(self, frame: _Frame) -> Floats:
        """(4,): what each state costs in itself."""
        cost = SWAPPED_COST * _STATES.sum(axis=1)
        if not all(frame.seen[list(pair)].all() for pair in self._sides):
            return cost
        hips, shoulders = (frame.xy[left] - frame.xy[right] for left, right in self._sides)
        if min(np.linalg.norm(hips), np.linalg.norm(shoulders)) <= APART:
            return cost
        opposite = (hips @ shoulders < 0) ^ (_STATES[:, 0] ^ _STATES[:, 1])
        return cost + CONTRADICTION_COST * opposite

    def _step_costs(self, frame: _Frame, before: _Frame) -> Floats:
        """(4, 4): from each state of the frame before to each state of this one."""
        costs = np.zeros((len(_STATES), len(_STATES)))
        for limb, rows in enumerate(self._limbs):
            same = _movement(frame, before, rows, rows)
            crossed = _movement(frame, before, rows, self._mirror[rows])
            costs += np.where(_CHANGES[..., limb], crossed + CHANGE_COST, same)
        return costs


def _movement(
    now: _Frame, before: _Frame, rows: NDArray[np.int64], old: NDArray[np.int64]
) -> float:
    """Mean way of the joints that are seen in both frames."""
    both = now.seen[rows] & before.seen[old]
    if not both.any():
        return 0.0
    way = np.linalg.norm(now.xy[rows[both]] - before.xy[old[both]], axis=-1)
    return float(np.minimum(way, MOVEMENT_CAP).mean())


def _rows(skeleton: Skeleton) -> list[Rows]:
    """The joints of legs and of arms, both sides of each."""
    sides = ("left", "right")
    return [
        np.array([skeleton.index(f"{side}_{part}") for part in parts for side in sides])
        for parts in _LIMBS
    ]
