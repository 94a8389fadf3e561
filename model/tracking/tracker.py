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
MIN_CONFIRM_FRAMES = 4
"""Detectors have false positives of up to three frames."""
FORGET_TENTATIVE_S = 0.1
MIN_FORGET_UPDATES = 2
BRIDGE_S = 1.0
"""A lost track is extrapolated for so long; after that the person gets a new identity."""
REACH = 0.4
REACH_PER_S = 1.5
"""The longest distance from a track's expected place, in body sizes, and its growth while lost."""

GROWTH = 3.0
"""Detections larger or smaller than the track by this factor or more are another person; errors of
single joints change the size by less."""
MIN_COMPARED = 6
"""Sizes are compared from this many joints visible in both."""

_SMOOTHING = 0.3


@dataclass(frozen=True)
class Detection:
    """A person detected in a frame, numbered as in Tracker.update."""

    frame: int
    id: int
    person: Person


class Tracker:
    """Assigns identities 1, 2, ... in the order in which tracks are confirmed.

    A track is tentative until it is 0.15 s and at least 4 detected frames long; `recovered` has the
    earlier detections of the tracks that the last update confirmed. At most `max_people` are
    tracked at a time; `crowded`: there were more. `unconfirmed` counts tracks lost before that.
    """

    def __init__(self, fps: float, max_people: int):
        self.crowded = False
        self.unconfirmed = 0
        self.recovered: list[Detection] = []
        self._fps = fps
        self._max_people = max_people
        self._confirm_frames = max(MIN_CONFIRM_FRAMES, round(CONFIRM_S * fps))
        self._tentative_frames = max(MIN_FORGET_UPDATES, round(FORGET_TENTATIVE_S * fps))
        self._frame = -1
        self._elapsed = 0  # frames since the last detected frame
        self._updates = 0
        self._ids = count(1)
        self._confirmed: list[_Track] = []
        self._tentative: list[_Track] = []

    def update(
        self, people: Sequence[Person], frame: int | None = None
    ) -> list[tuple[int, Person]]:
        """Add the people of the next frame, or of a later `frame` if those between were skipped ->
        (id, person) of the confirmed tracks. Frames are counted from 0."""
        before, self._frame = self._frame, self._frame + 1 if frame is None else frame
        self._elapsed = self._frame - before
        self._updates += 1
        self._forget()
        unmatched = self._match(self._confirmed, list(people))
        tracked = [t.expected(self._frame) for t in self._confirmed]
        unmatched = _without_duplicates(unmatched, tracked)
        unmatched = self._match(self._tentative, unmatched)
        self._tentative += [self._new_track(person) for person in unmatched]
        self.recovered = self._confirm()
        return [(t.id, t.person) for t in self._confirmed if t.last_frame == self._frame]

    def finish(self) -> list[Detection]:
        """After a video too short to confirm a track: the people detected in all its frames."""
        if self._frame + 1 >= self._confirm_frames:
            self.unconfirmed += sum(not self._is_long_enough(t) for t in self._tentative)
            return []
        earlier = self._confirm(self._frame + 1)
        last = [Detection(self._frame, t.id, t.person) for t in self._confirmed]
        return earlier + last

    def _forget(self) -> None:
        """Drop tracks lost for too long, but none between two detected frames."""
        oldest = self._frame - 1 - round(BRIDGE_S * self._fps)
        last = self._updates - 1
        self._confirmed = [
            t for t in self._confirmed if t.last_frame >= oldest or t.last_update == last
        ]
        oldest = self._frame - 1 - self._tentative_frames
        update = self._updates - 1 - MIN_FORGET_UPDATES
        kept = [t for t in self._tentative if t.last_frame >= oldest or t.last_update >= update]
        lost = [t for t in self._tentative if t not in kept]
        self.unconfirmed += sum(not self._is_long_enough(t) for t in lost)
        self._tentative = kept

    def _is_long_enough(self, track: "_Track", frames: int | None = None) -> bool:
        """Whether a track spans enough frames, at least 4 of them detected (or all, if fewer)."""
        frames = self._confirm_frames if frames is None else frames
        return track.frames_seen >= frames and track.updates_seen >= min(MIN_CONFIRM_FRAMES, frames)

    def _match(self, tracks: list["_Track"], people: list[Person]) -> list[Person]:
        """Assign people to tracks; returns the people without a track."""
        if not tracks or not people:
            return people
        costs = np.array([[t.distance_to(p, self._frame) for p in people] for t in tracks])
        reach = [REACH + REACH_PER_S * (self._frame - t.last_frame) / self._fps for t in tracks]
        allowed = costs <= np.array(reach)[:, None]
        rows, columns = linear_sum_assignment(np.where(allowed, costs, 1e3))
        matched = {int(c): int(r) for r, c in zip(rows, columns, strict=True) if allowed[r, c]}
        for column, row in matched.items():
            tracks[row].update(people[column], self._frame, self._updates, self._elapsed)
        return [person for i, person in enumerate(people) if i not in matched]

    def _new_track(self, person: Person) -> "_Track":
        track = _Track(person, self._frame, self._updates)
        track.earlier = deque(maxlen=self._confirm_frames)
        return track

    def _confirm(self, frames: int | None = None) -> list[Detection]:
        """Give identities to tracks that are long enough; returns their earlier detections."""
        recovered: list[Detection] = []
        for track in [t for t in self._tentative if self._is_long_enough(t, frames)]:
            if len(self._confirmed) == self._max_people:
                self.crowded = True
                break
            track.id = next(self._ids)
            recovered += [Detection(frame, track.id, person) for frame, person in track.earlier]
            track.earlier.clear()
            self._confirmed.append(track)
            self._tentative.remove(track)
        return recovered


@dataclass(eq=False)
class _Track:
    """A person's last detection and speed (px per frame)."""

    person: Person
    last_frame: int
    last_update: int
    id: int = 0
    frames_seen: int = 1
    updates_seen: int = 1
    speed: Float32 = field(default_factory=lambda: np.zeros(2, np.float32))
    earlier: deque[tuple[int, Person]] = field(default_factory=deque)

    def distance_to(self, person: Person, frame: int) -> float:
        """From the expected place to `person`, in body sizes; inf for another size."""
        if not 1 / GROWTH < _growth(self.person, person) < GROWTH:
            return inf
        return distance(self.expected(frame), person)

    def expected(self, frame: int) -> Person:
        """The last detection, extrapolated."""
        return Person(self.person.xy + self.speed * (frame - self.last_frame), self.person.score)

    def update(self, person: Person, frame: int, update: int, elapsed: int) -> None:
        """Add a detection, `elapsed` frames after the last detected frame."""
        if not self.id:
            self.earlier.append((self.last_frame, self.person))
        step = np.median(person.xy - self.person.xy, axis=0) / (frame - self.last_frame)
        self.speed = self.speed + _SMOOTHING * (step - self.speed)
        self.person, self.last_frame, self.last_update = person, frame, update
        self.frames_seen += elapsed
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
