"""The people of each frame -> who is who over time.

One assignment a frame (Hungarian) between the people known and the people seen, by the distance of
their keypoints in body sizes, each known person moved on at their own speed. docs/identities.md
compares this with tracking libraries.
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
"""Detectors see people who are not there for up to three frames."""
FORGET_TENTATIVE_S = 0.1
MIN_FORGET_LOOKS = 2
BRIDGE_S = 1.0
"""A lost person is taken to move on as before for so long; after it they come back as a new one."""
REACH = 0.4
REACH_PER_S = 1.5
"""How far from where they are expected a person may be seen, in body sizes."""

GROWTH = 3.0
"""Nobody becomes larger or smaller by more than this factor while they are lost; the joints of one
bad detection before it may by less."""
MIN_COMPARED = 6
"""Joints that must be visible in both to tell it."""

_SMOOTHING = 0.3


@dataclass(frozen=True)
class Sighting:
    """A person seen in a frame, as Tracker.update counts them."""

    frame: int
    id: int
    person: Person


class Tracker:
    """Identities 1, 2, ... in the order in which people are first sure to be there.

    A person is sure after 0.15 s and at least 4 looks; what was seen of them until then is given by
    `recovered`. At most `max_people` are followed at a time; `crowded` says there were more, and
    `unsure` counts those who were gone before they were sure.
    """

    def __init__(self, fps: float, max_people: int):
        self.crowded = False
        self.unsure = 0
        self.recovered: list[Sighting] = []
        self._fps = fps
        self._max_people = max_people
        self._confirm_frames = max(MIN_CONFIRM_FRAMES, round(CONFIRM_S * fps))
        self._tentative_frames = max(MIN_FORGET_LOOKS, round(FORGET_TENTATIVE_S * fps))
        self._frame = -1
        self._passed = 0  # frames since the look before
        self._look = 0
        self._ids = count(1)
        self._known: list[_Track] = []
        self._tentative: list[_Track] = []

    def update(
        self, people: Sequence[Person], frame: int | None = None
    ) -> list[tuple[int, Person]]:
        """The people of the next frame, or of a later one where nobody looked at those between ->
        those with an identity, each with it. Frames are counted from 0."""
        before, self._frame = self._frame, self._frame + 1 if frame is None else frame
        self._passed = self._frame - before
        self._look += 1
        self._forget()
        unmatched = self._match(self._known, list(people))
        unmatched = _newcomers(unmatched, [t.expected(self._frame) for t in self._known])
        unmatched = self._match(self._tentative, unmatched)
        self._tentative += [self._new_track(person) for person in unmatched]
        self.recovered = self._confirm()
        return [(t.id, t.person) for t in self._known if t.last_frame == self._frame]

    def finish(self) -> list[Sighting]:
        """At the end of a video too short to be sure of anyone: who was seen in all its frames."""
        if self._frame + 1 >= self._confirm_frames:
            self.unsure += sum(not self._is_sure(t) for t in self._tentative)
            return []
        sure = self._confirm(self._frame + 1)
        last = [Sighting(self._frame, t.id, t.person) for t in self._known]
        return sure + last

    def _forget(self) -> None:
        """Whoever was away for too long; but where looks are rare, nobody between two of them."""
        oldest = self._frame - 1 - round(BRIDGE_S * self._fps)
        self._known = [
            t for t in self._known if t.last_frame >= oldest or t.last_look == self._look - 1
        ]
        oldest, look = self._frame - 1 - self._tentative_frames, self._look - 1 - MIN_FORGET_LOOKS
        kept = [t for t in self._tentative if t.last_frame >= oldest or t.last_look >= look]
        gone = [t for t in self._tentative if t not in kept]
        self.unsure += sum(not self._is_sure(t) for t in gone)
        self._tentative = kept

    def _is_sure(self, track: "_Track", frames: int | None = None) -> bool:
        """Whether someone was seen in so many frames, and in four looks where there were four."""
        frames = self._confirm_frames if frames is None else frames
        return track.frames_seen >= frames and track.looks_seen >= min(MIN_CONFIRM_FRAMES, frames)

    def _match(self, tracks: list["_Track"], people: list[Person]) -> list[Person]:
        """Give people to the tracks that they belong to; the others are returned."""
        if not tracks or not people:
            return people
        costs = np.array([[t.distance_to(p, self._frame) for p in people] for t in tracks])
        reach = [REACH + REACH_PER_S * (self._frame - t.last_frame) / self._fps for t in tracks]
        allowed = costs <= np.array(reach)[:, None]
        rows, columns = linear_sum_assignment(np.where(allowed, costs, 1e3))
        matched = {int(c): int(r) for r, c in zip(rows, columns, strict=True) if allowed[r, c]}
        for column, row in matched.items():
            tracks[row].take(people[column], self._frame, self._look, self._passed)
        return [person for i, person in enumerate(people) if i not in matched]

    def _new_track(self, person: Person) -> "_Track":
        track = _Track(person, self._frame, self._look)
        track.earlier = deque(maxlen=self._confirm_frames)
        return track

    def _confirm(self, frames: int | None = None) -> list[Sighting]:
        """Identities for those who are now sure; their sightings before this one."""
        sure = [t for t in self._tentative if self._is_sure(t, frames)]
        recovered: list[Sighting] = []
        for track in sure:
            if len(self._known) == self._max_people:
                self.crowded = True
                break
            track.id = next(self._ids)
            recovered += [Sighting(frame, track.id, person) for frame, person in track.earlier]
            track.earlier.clear()
            self._known.append(track)
            self._tentative.remove(track)
        return recovered


@dataclass(eq=False)
class _Track:
    """One person followed: where they were last and how fast (px a frame)."""

    person: Person
    last_frame: int
    last_look: int
    id: int = 0
    frames_seen: int = 1
    looks_seen: int = 1
    speed: Float32 = field(default_factory=lambda: np.zeros(2, np.float32))
    earlier: deque[tuple[int, Person]] = field(default_factory=deque)

    def distance_to(self, person: Person, frame: int) -> float:
        """From where this one is expected to `person`, in body sizes."""
        if not 1 / GROWTH < _growth(self.person, person) < GROWTH:
            return inf
        return distance(self.expected(frame), person)

    def expected(self, frame: int) -> Person:
        """As last seen, moved on."""
        return Person(self.person.xy + self.speed * (frame - self.last_frame), self.person.score)

    def take(self, person: Person, frame: int, look: int, passed: int) -> None:
        """Follow to `person`, seen now; `passed` are the frames since the look before."""
        if not self.id:
            self.earlier.append((self.last_frame, self.person))
        step = np.median(person.xy - self.person.xy, axis=0) / (frame - self.last_frame)
        self.speed = self.speed + _SMOOTHING * (step - self.speed)
        self.person, self.last_frame, self.last_look = person, frame, look
        self.frames_seen += passed
        self.looks_seen += 1


def _growth(before: Person, now: Person) -> float:
    """How much larger the joints lie apart that are visible in both; 1 where too few are."""
    both = (before.score >= VISIBLE_SCORE) & (now.score >= VISIBLE_SCORE)
    if both.sum() < MIN_COMPARED:
        return 1.0
    old, new = (float(np.linalg.norm(p.xy[both].std(axis=0))) for p in (before, now))
    return max(new, 1.0) / max(old, 1.0)


def _newcomers(people: Sequence[Person], known: Sequence[Person]) -> list[Person]:
    """Those who are neither one of the known nor one of each other; the larger is kept."""
    kept: list[Person] = []
    for person in sorted(people, key=Person.size, reverse=True):
        if not any(is_same(person, other) for other in (*known, *kept)):
            kept.append(person)
    return kept
