"""Tracking: the detections of each frame -> people with identities over time.

Each frame, the Hungarian algorithm assigns detections to tracks by the distance of their keypoints
in body sizes, each track extrapolated at its own speed. docs/identities.md compares this with
tracking libraries.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from math import inf

import numpy as np
from scipy.optimize import linear_sum_assignment

from model.detectors.person import VISIBLE_SCORE, Person, distance, is_same
from model.keypoints.sequences import Float32

CONFIRM_S = 0.15
MIN_CONFIRM_UPDATES = 4
"""Detectors have false positives of up to three frames."""
FORGET_TENTATIVE_S = 0.1
MIN_FORGET_UPDATES = 2
BRIDGE_S = 1.0
"""A lost track is extrapolated for so long; after that the person gets a new identity."""
PAUSE_STEPS = 3.0
"""A step this many times longer than is usual, and longer than BRIDGE_S, is a pause."""
USUAL_STEPS = 25
"""The median of so many of the last steps is the usual one."""
REACH = 0.4
REACH_PER_S = 1.5
"""The longest distance from a track's expected place, in body sizes, and its growth while lost."""

GROWTH = 3.0
"""Detections larger or smaller than the track by this factor or more are another person; errors of
single joints change the size by less."""
MIN_COMPARED = 6
"""Sizes are compared from this many joints visible in both."""

_SMOOTHING = 0.3
ROUNDING_S = 0.002
"""Times are rounded to milliseconds in many files."""
MAX_RECOVERED = 256
"""Detections before the confirmation that are kept: 0.15 s at the highest frame rate."""


@dataclass(frozen=True)
class Detection:
    """A person detected in an update, which are numbered from 0."""

    update: int
    id: int
    person: Person


class Tracker:
    """Assigns identities 1, 2, ... in the order in which tracks are confirmed.

    A track is tentative until it is 0.15 s and at least 4 updates long; `recovered` has the earlier
    detections of the tracks that the last update confirmed. At most `max_people` are tracked at a
    time; `crowded`: there were more. `unconfirmed` counts tracks lost before that. A pause between
    two updates that is longer than a second ends all tracks.
    """

    def __init__(self, max_people: int):
        self.crowded = False
        self.unconfirmed = 0
        self.recovered: list[Detection] = []
        self._max_people = max_people
        self._start_s = self._time_s = 0.0
        self._step_s = 0.0  # since the last update
        self._steps_s: deque[float] = deque(maxlen=USUAL_STEPS)
        self._updates = 0
        self._ids = count(1)
        self._confirmed: list[_Track] = []
        self._tentative: list[_Track] = []

    def update(self, people: Sequence[Person], time_s: float) -> list[tuple[int, Person]]:
        """Add the people detected at a time, later than that of the last update -> (id, person) of
        the confirmed tracks."""
        self._start_s = self._start_s if self._updates else time_s
        self._step_s = time_s - self._time_s if self._updates else 0.0
        self._time_s = time_s
        self._updates += 1
        self._forget()
        unmatched = self._match(self._confirmed, list(people))
        tracked = [t.expected(time_s) for t in self._confirmed]
        unmatched = _without_duplicates(unmatched, tracked)
        unmatched = self._match(self._tentative, unmatched)
        self._tentative += [_Track(person, time_s, self._updates - 1) for person in unmatched]
        self.recovered = self._confirm(CONFIRM_S, MIN_CONFIRM_UPDATES)
        return [(t.id, t.person) for t in self._confirmed if t.last_update == self._updates - 1]

    def finish(self) -> list[Detection]:
        """After a video too short to confirm a track: the people detected in all its frames."""
        lasted_s = self._time_s - self._start_s + self._step_s
        is_short = self._updates < MIN_CONFIRM_UPDATES or lasted_s < CONFIRM_S
        recovered = []
        if is_short and not self._confirmed:
            recovered = self._confirm(0.0, self._updates)
            last = self._updates - 1
            recovered += [Detection(last, t.id, t.person) for t in self._confirmed]
        self.unconfirmed += sum(not self._is_confirmable(t) for t in self._tentative)
        return recovered

    def _forget(self) -> None:
        """Drop tracks lost for too long, but none between two updates, unless there is a pause."""
        usual_s = float(np.median(self._steps_s)) if self._steps_s else self._step_s
        pause = self._step_s > max(BRIDGE_S, PAUSE_STEPS * usual_s)
        if self._step_s:
            self._steps_s.append(self._step_s)
        before_s, last = self._time_s - self._step_s, self._updates - 2
        kept = [
            t
            for t in self._tentative
            if not pause
            and (
                before_s - t.last_s <= FORGET_TENTATIVE_S
                or last - t.last_update < MIN_FORGET_UPDATES
            )
        ]
        self.unconfirmed += sum(
            not self._is_confirmable(t) for t in self._tentative if t not in kept
        )
        self._tentative = kept
        self._confirmed = [
            t
            for t in self._confirmed
            if not pause and (before_s - t.last_s <= BRIDGE_S or t.last_update == last)
        ]

    def _is_confirmable(self, track: "_Track") -> bool:
        return track.is_long_enough(CONFIRM_S, MIN_CONFIRM_UPDATES)

    def _match(self, tracks: list["_Track"], people: list[Person]) -> list[Person]:
        """Assign people to tracks; returns the people without a track."""
        if not tracks or not people:
            return people
        costs = np.array([[t.distance_to(p, self._time_s) for p in people] for t in tracks])
        reach = [REACH + REACH_PER_S * (self._time_s - t.last_s) for t in tracks]
        allowed = costs <= np.array(reach)[:, None]
        rows, columns = linear_sum_assignment(np.where(allowed, costs, 1e3))
        matched = {int(c): int(r) for r, c in zip(rows, columns, strict=True) if allowed[r, c]}
        for column, row in matched.items():
            tracks[row].update(people[column], self._time_s, self._updates - 1, self._step_s)
        return [person for i, person in enumerate(people) if i not in matched]

    def _confirm(self, seen_s: float, updates: int) -> list[Detection]:
        """Give identities to tracks that are long enough; returns their earlier detections."""
        recovered: list[Detection] = []
        for track in [t for t in self._tentative if t.is_long_enough(seen_s, updates)]:
            if len(self._confirmed) == self._max_people:
                self.crowded = True
                break
            track.id = next(self._ids)
            recovered += [Detection(update, track.id, person) for update, person in track.earlier]
            track.earlier.clear()
            self._confirmed.append(track)
            self._tentative.remove(track)
        return recovered


@dataclass(eq=False)
class _Track:
    """A person's last detection and speed (px per s); seen_s is the sum of the steps to detections
    from the update before."""

    person: Person
    last_s: float
    last_update: int
    id: int = 0
    seen_s: float = 0.0
    updates_seen: int = 1
    speed: Float32 = field(default_factory=lambda: np.zeros(2, np.float32))
    earlier: deque[tuple[int, Person]] = field(default_factory=lambda: deque(maxlen=MAX_RECOVERED))

    def is_long_enough(self, seen_s: float, updates: int) -> bool:
        """Whether the track has so many detections, which last so long, each for a mean step."""
        steps = max(1, self.updates_seen - 1)
        lasted_s = self.seen_s * (1 + 1 / steps)
        return self.updates_seen >= updates and lasted_s >= seen_s - ROUNDING_S

    def distance_to(self, person: Person, time_s: float) -> float:
        """From the expected place to `person`, in body sizes; inf for another size."""
        if not 1 / GROWTH < _growth(self.person, person) < GROWTH:
            return inf
        return distance(self.expected(time_s), person)

    def expected(self, time_s: float) -> Person:
        """The last detection, extrapolated."""
        moved = self.speed * np.float32(time_s - self.last_s)
        return Person(self.person.xy + moved, self.person.score)

    def update(self, person: Person, time_s: float, update: int, step_s: float) -> None:
        """Add a detection, `step_s` after the last update."""
        if not self.id:
            self.earlier.append((self.last_update, self.person))
        moved = np.median(person.xy - self.person.xy, axis=0) / max(time_s - self.last_s, 1e-6)
        self.speed = self.speed + _SMOOTHING * (moved.astype(np.float32) - self.speed)
        self.person, self.last_s, self.last_update = person, time_s, update
        self.seen_s += step_s
        self.updates_seen += 1


def _growth(before: Person, now: Person) -> float:
    """Growth of the spread of the joints visible in both; 1 if too few are."""
    both = (before.score >= VISIBLE_SCORE) & (now.score >= VISIBLE_SCORE)
    if both.sum() < MIN_COMPARED:
        return 1.0
    old, new = (float(np.linalg.norm(p.xy[both].std(axis=0))) for p in (before, now))
    return max(new, 1.0) / max(old, 1.0)


def _without_duplicates(people: Sequence[Person], tracked: Sequence[Person]) -> list[Person]:
    """The people that duplicate neither a tracked person nor a larger one of `people`."""
    kept: list[Person] = []
    for person in sorted(people, key=Person.size, reverse=True):
        if not any(is_same(person, other) for other in (*tracked, *kept)):
            kept.append(person)
    return kept
