"""Whoever was found in the pictures of a file -> the one person that is lifted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.detectors.person import Person
from model.errors import InvalidInput, TooLarge, UnknownName
from model.keypoints.joint_sets import skeleton_named
from model.keypoints.sequences import MAX_COORDINATE_PX, MAX_FPS, KeypointSequence
from model.keypoints.skeleton import Skeleton
from model.tracking.tracker import Tracker

MAX_PEOPLE = 64
"""Told apart at a time; more are left out."""

Sightings = Mapping[int, Person]
"""Picture -> one person in it."""


@dataclass(frozen=True)
class Given:
    """What a file does not say: fps in 1/s, image_size (width, height) px, the joint set's name;
    and which of its people is meant."""

    fps: float | None = None
    image_size: tuple[int, int] | None = None
    skeleton: str | None = None
    person: int | None = None

    def needed_fps(self) -> float:
        fps: float = _needed(self.fps, "fps")
        if not 0 < fps <= MAX_FPS:
            raise InvalidInput(f"fps lies above 0 and up to {MAX_FPS:g}, got {fps}", ("fps",))
        return fps

    def needed_size(self) -> tuple[int, int]:
        return _needed(self.image_size, "image_size")

    def needed_skeleton(self) -> Skeleton:
        return skeleton_named(_needed(self.skeleton, "skeleton"))

    def skeleton_or(self, usual: Skeleton) -> Skeleton:
        return skeleton_named(self.skeleton) if self.skeleton else usual


@dataclass(frozen=True)
class FiledKeypoints:
    """What was read, and what had to be guessed."""

    sequence: KeypointSequence
    warnings: tuple[str, ...] = field(default=())


def _needed(value: Any, name: str) -> Any:
    if value is None:
        raise InvalidInput(f"the file does not say {name}: it must be given", (name,))
    return value


def person_of(numbers: object, skeleton: Skeleton, what: str) -> Person:
    """x, y, score of each joint, one after the other; scores beyond 0..1 are taken for its ends, as
    some tools go slightly beyond. `what` names the place in errors."""
    wanted = 3 * len(skeleton.joints)
    if not isinstance(numbers, list) or len(numbers) != wanted:
        got = f"{len(numbers)}" if isinstance(numbers, list) else type(numbers).__name__
        raise InvalidInput(
            f"{what}: {skeleton.name} is a list of {wanted} numbers, x, y and score of "
            f"{len(skeleton.joints)} joints; got {got}"
        )
    if not set(map(type, numbers)) <= {int, float}:
        raise InvalidInput(f"{what}: expected numbers only")
    if not all(abs(number) <= MAX_COORDINATE_PX for number in numbers):
        raise InvalidInput(f"{what}: coordinates are finite and at most 1e6 px")
    rows = np.array(numbers, np.float64).reshape(-1, 3).astype(np.float32)
    return Person(rows[:, :2], np.clip(rows[:, 2], 0, 1))


def told_apart(pictures: Sequence[Sequence[Person]], fps: float) -> dict[int, Sightings]:
    """People without names -> 1, 2, ..., followed from picture to picture; all is one person where
    no picture shows two."""
    if max(map(len, pictures)) <= 1:
        alone = {frame: people[0] for frame, people in enumerate(pictures) if people}
        return {1: alone} if alone else {}
    tracker = Tracker(fps, MAX_PEOPLE)
    found: dict[int, dict[int, Person]] = {}
    for frame, people in enumerate(pictures):
        for id, person in tracker.update(people):
            found.setdefault(id, {})[frame] = person
        for earlier in tracker.recovered:
            found.setdefault(earlier.id, {})[earlier.frame] = earlier.person
    for last in tracker.finish():
        found.setdefault(last.id, {})[last.frame] = last.person
    return dict(found)


def check_span(frames: int, max_frames: int) -> None:
    """Raises TooLarge."""
    if frames > max_frames:
        raise TooLarge(f"at most {max_frames} frames, the pictures' numbers span {frames}")


def chosen(
    people: Mapping[int, Sightings], frames: int, skeleton: Skeleton, given: Given
) -> FiledKeypoints:
    """The person asked for, else the one who fills the most pixels in all pictures together; a
    warning names the others. Raises InvalidInput and UnknownName."""
    if not people:
        raise InvalidInput("nobody is in the file")
    id = max(people, key=lambda one: sum(p.size() for p in people[one].values()))
    if given.person is not None:
        id = given.person
        if id not in people:
            raise UnknownName("person", str(id), map(str, sorted(people)))
    sequence = _sequence(people[id], frames, skeleton, given)
    if len(people) == 1 or given.person is not None:
        return FiledKeypoints(sequence)
    shown = ", ".join(f"{one} ({len(people[one])} frames)" for one in sorted(people))
    return FiledKeypoints(sequence, (f"of people {shown}, the largest is lifted: {id}",))


def _sequence(
    sightings: Sightings, frames: int, skeleton: Skeleton, given: Given
) -> KeypointSequence:
    joints = len(skeleton.joints)
    xy = np.zeros((frames, joints, 2), np.float32)
    score = np.zeros((frames, joints), np.float32)
    for frame, person in sightings.items():
        xy[frame], score[frame] = person.xy, person.score
    return KeypointSequence(xy, score, given.needed_size(), given.needed_fps(), skeleton)
