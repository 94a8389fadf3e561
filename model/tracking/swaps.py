"""Left/right swaps of a detector: found as the cheapest path of states over time, and repaired.

Legs and arms may each be swapped, so a frame has four states. The cost of a path is the movement of
the joints from frame to frame, plus costs per change of state, per frame whose hips and shoulders
point opposite ways, and, small, per swapped frame, so that the more frequent state counts as right.
Detecting jumps alone would fail on a video that begins swapped or stays so for long. A change while
both sides overlap in the image cannot be detected. The Viterbi algorithm (1967) finds the cheapest
path of a whole sequence; a stream uses the cheapest path so far. All costs are in body heights.
"""

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.keypoints.sequences import Bools, Indices, KeypointSequence
from model.keypoints.skeleton import Skeleton

CHANGE_COST = 0.05
"""Mean movement that a change of state must save."""
SWAPPED_COST = 0.001
"""Per swapped frame and limb: a swap of 1.5 s in a hundred frames is repaired, a doubtful one is
not."""
CONTRADICTION_COST = 0.02
"""Per frame whose hips and shoulders, both clearly apart, point opposite ways."""
MOVEMENT_CAP = 0.5
"""Larger movements carry no information about left and right."""
APART = 0.06
"""Distance from which hips or shoulders count as clearly apart."""
HEIGHT_FRAMES = 25
"""The body height is the median of this many newest frames."""

_LIMBS = (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
_STATES = np.array([(False, False), (True, False), (False, True), (True, True)])
_CHANGES = _STATES[:, None] != _STATES  # (from, to, limb)

Id = TypeVar("Id", bound=Hashable)
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class _Frame:
    """xy (J, 2) in body heights, seen (J,)."""

    xy: Floats
    seen: Bools


def swap_path(xy: Floats, seen: Bools, skeleton: Skeleton) -> Bools:
    """Which of (legs, arms) are swapped in consecutive frames: xy (T, J, 2) in body heights, seen
    (T, J) -> (T, 2)."""
    path = _Path(skeleton)
    back = [path.step(_Frame(*frame)) for frame in zip(xy, seen, strict=True)]
    states = [int(path.cost.argmin())]
    for previous in reversed(back[1:]):
        states.append(int(previous[states[-1]]))
    swapped: Bools = _STATES[states[::-1]]
    return swapped


def swap_sides(values: Floats, swapped: Bools, skeleton: Skeleton) -> Floats:
    """Values (T, J, ...) with left and right of legs and arms swapped where `swapped` (T, 2)."""
    result = np.array(values)
    for limb, rows in enumerate(_rows(skeleton)):
        frames = np.flatnonzero(swapped[:, limb])
        mirrored = np.array(skeleton.mirror)[rows]
        result[np.ix_(frames, rows)] = values[np.ix_(frames, mirrored)]
    return result


def undo_swaps(sequence: KeypointSequence) -> tuple[KeypointSequence, Bools]:
    """Repair one person's consecutive frames -> the sequence and where (legs, arms) were swapped
    (T, 2). Looks ahead, so it needs the whole sequence."""
    seen = sequence.confidence > 0
    heights = _Heights()
    scaled = [xy / heights.add(xy, joints) for xy, joints in zip(sequence.xy, seen, strict=True)]
    swapped = swap_path(np.stack(scaled), seen, sequence.skeleton)
    return _repaired(sequence, swapped), swapped


class SwapRepair:
    """undo_swaps for a stream, without look-ahead: `push` the next frames of one person."""

    def __init__(self, skeleton: Skeleton):
        self._path = _Path(skeleton)
        self._heights = _Heights()

    def push(self, sequence: KeypointSequence) -> tuple[KeypointSequence, Bools]:
        states = []
        for xy, score in zip(sequence.xy, sequence.confidence, strict=True):
            seen = score > 0
            self._path.step(_Frame(xy / self._heights.add(xy, seen), seen))
            states.append(int(self._path.cost.argmin()))
        swapped: Bools = _STATES[states]
        return _repaired(sequence, swapped), swapped


class SwapRepairs(Generic[Id]):
    """A SwapRepair per person of a stream; a person who was absent starts anew."""

    def __init__(self) -> None:
        self._repairs: dict[Id, SwapRepair] = {}

    def push(self, people: Mapping[Id, KeypointSequence]) -> dict[Id, KeypointSequence]:
        """Repair the next frames of all people present, H36M-17."""
        self._repairs = {
            id: self._repairs.get(id) or SwapRepair(sequence.skeleton)
            for id, sequence in people.items()
        }
        return {id: self._repairs[id].push(sequence)[0] for id, sequence in people.items()}


def _repaired(sequence: KeypointSequence, swapped: Bools) -> KeypointSequence:
    if not swapped.any():
        return sequence
    skeleton = sequence.skeleton
    return replace(
        sequence,
        xy=swap_sides(sequence.xy, swapped, skeleton),
        confidence=swap_sides(sequence.confidence, swapped, skeleton),
    )


class _Heights:
    """Body height in px: the median longer side of the boxes of the newest frames."""

    def __init__(self) -> None:
        self._newest: deque[float] = deque(maxlen=HEIGHT_FRAMES)

    def add(self, xy: Floats, seen: Bools) -> float:
        if seen.any():
            self._newest.append(float(np.ptp(xy[seen], axis=0).max()))
        return max(1.0, float(np.median(self._newest))) if self._newest else 1.0


class _Path:
    """The cost of the cheapest path to each of the four states of the newest frame."""

    def __init__(self, skeleton: Skeleton):
        self.cost = np.zeros(len(_STATES))
        self._limbs = _rows(skeleton)
        self._mirror = np.array(skeleton.mirror)
        self._sides = [
            (skeleton.index(f"left_{part}"), skeleton.index(f"right_{part}"))
            for part in ("hip", "shoulder")
        ]
        self._before: _Frame | None = None

    def step(self, frame: _Frame) -> Indices:
        """Add the next frame; for each of its states, the best state of the frame before."""
        before, self._before = self._before, frame
        if before is None:
            self.cost = self._frame_costs(frame)
            return np.arange(len(_STATES))
        total = self.cost[:, None] + self._step_costs(frame, before)
        back: Indices = total.argmin(axis=0)
        self.cost = total.min(axis=0) + self._frame_costs(frame)
        return back

    def _frame_costs(self, frame: _Frame) -> Floats:
        """(4,): the cost of each state by itself."""
        cost = SWAPPED_COST * _STATES.sum(axis=1)
        if not all(frame.seen[list(pair)].all() for pair in self._sides):
            return cost
        hips, shoulders = (frame.xy[left] - frame.xy[right] for left, right in self._sides)
        if min(np.linalg.norm(hips), np.linalg.norm(shoulders)) <= APART:
            return cost
        opposite = (hips @ shoulders < 0) ^ (_STATES[:, 0] ^ _STATES[:, 1])
        return cost + CONTRADICTION_COST * opposite

    def _step_costs(self, frame: _Frame, before: _Frame) -> Floats:
        """(4, 4): from each state of the previous frame to each state of this one."""
        costs = np.zeros((len(_STATES), len(_STATES)))
        for limb, rows in enumerate(self._limbs):
            same = _movement(frame, before, rows, rows)
            crossed = _movement(frame, before, rows, self._mirror[rows])
            costs += np.where(_CHANGES[..., limb], crossed + CHANGE_COST, same)
        return costs


def _movement(now: _Frame, before: _Frame, rows: Indices, old: Indices) -> float:
    """Mean movement of the joints seen in both frames."""
    both = now.seen[rows] & before.seen[old]
    if not both.any():
        return 0.0
    distances = np.linalg.norm(now.xy[rows[both]] - before.xy[old[both]], axis=-1)
    return float(np.minimum(distances, MOVEMENT_CAP).mean())


def _rows(skeleton: Skeleton) -> list[Indices]:
    """The joints of the legs and of the arms, both sides."""
    sides = ("left", "right")
    return [
        np.array([skeleton.index(f"{side}_{part}") for part in parts for side in sides])
        for parts in _LIMBS
    ]
