"""The people in a file -> the one person that is lifted."""

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
"""Tracked at a time; more are left out."""

Detections = Mapping[int, Person]
"""Frame -> one person's keypoints."""


@dataclass(frozen=True)
class Given:
    """Options for what a file does not contain: fps in 1/s, image_size (width, height) px, the
    joint set's name; and the id of the person to read."""

    fps: float | None = None
    image_size: tuple[int, int] | None = None
    skeleton: str | None = None
    person: int | None = None

    def needed_fps(self) -> float:
        fps: float = _needed(self.fps, "fps")
        if not 0 < fps <= MAX_FPS:
            raise InvalidInput(f"fps must be above 0 and at most {MAX_FPS:g}, got {fps}", ("fps",))
        return fps

    def needed_size(self) -> tuple[int, int]:
        return _needed(self.image_size, "image_size")

    def needed_skeleton(self) -> Skeleton:
        return skeleton_named(_needed(self.skeleton, "skeleton"))

    def skeleton_or(self, default: Skeleton) -> Skeleton:
        return skeleton_named(self.skeleton) if self.skeleton else default


@dataclass(frozen=True)
class FiledKeypoints:
    """The keypoints of one person, and warnings about choices made."""

    sequence: KeypointSequence
    warnings: tuple[str, ...] = field(default=())


def _needed(value: Any, name: str) -> Any:
    if value is None:
        raise InvalidInput(f"the file does not contain {name}: set it as an option", (name,))
    return value


def parse_person(numbers: object, skeleton: Skeleton, place: str) -> Person:
    """From a flat list of x, y, score of each joint; scores are clipped to 0..1, as some tools
    slightly exceed it. `place` is named in errors."""
    count = 3 * len(skeleton.joints)
    if not isinstance(numbers, list) or len(numbers) != count:
        got = f"{len(numbers)}" if isinstance(numbers, list) else type(numbers).__name__
        raise InvalidInput(
            f"{place}: {skeleton.name} needs a list of {count} numbers, x, y and score of "
            f"{len(skeleton.joints)} joints; got {got}"
        )
    if not set(map(type, numbers)) <= {int, float}:
        raise InvalidInput(f"{place}: expected only numbers")
    if not all(abs(number) <= MAX_COORDINATE_PX for number in numbers):
        raise InvalidInput(f"{place}: coordinates must be finite and at most 1e6 px")
    rows = np.array(numbers, np.float64).reshape(-1, 3).astype(np.float32)
    return Person(rows[:, :2], np.clip(rows[:, 2], 0, 1))


def track_people(frames: Sequence[Sequence[Person]], fps: float) -> dict[int, Detections]:
    """Each frame's people -> tracks by id 1, 2, ...; one track if no frame has two people."""
    if max(map(len, frames)) <= 1:
        alone = {frame: people[0] for frame, people in enumerate(frames) if people}
        return {1: alone} if alone else {}
    tracker = Tracker(MAX_PEOPLE)
    tracks: dict[int, dict[int, Person]] = {}
    for frame, people in enumerate(frames):
        for id, person in tracker.update(people, frame / fps):
            tracks.setdefault(id, {})[frame] = person
        for detection in tracker.recovered:
            tracks.setdefault(detection.id, {})[detection.update] = detection.person
    for detection in tracker.finish():
        tracks.setdefault(detection.id, {})[detection.update] = detection.person
    return dict(tracks)


def check_span(frames: int, max_frames: int) -> None:
    """Raises TooLarge."""
    if frames > max_frames:
        raise TooLarge(f"at most {max_frames} frames, the image numbers span {frames}")


def select_person(
    people: Mapping[int, Detections], frames: int, skeleton: Skeleton, options: Given
) -> FiledKeypoints:
    """The person of the options, else the one with the largest total size over all frames; then a
    warning names the others. Raises InvalidInput and UnknownName."""
    if not people:
        raise InvalidInput("the file contains no people")
    if options.person is not None:
        if options.person not in people:
            raise UnknownName("person", str(options.person), map(str, sorted(people)))
        return FiledKeypoints(_sequence(people[options.person], frames, skeleton, options))
    largest = max(people, key=lambda id: sum(person.size() for person in people[id].values()))
    sequence = _sequence(people[largest], frames, skeleton, options)
    if len(people) == 1:
        return FiledKeypoints(sequence)
    ids = ", ".join(f"{id} ({len(people[id])} frames)" for id in sorted(people))
    return FiledKeypoints(sequence, (f"of people {ids}, the largest is lifted: {largest}",))


def _sequence(
    detections: Detections, frames: int, skeleton: Skeleton, options: Given
) -> KeypointSequence:
    joints = len(skeleton.joints)
    xy = np.zeros((frames, joints, 2), np.float32)
    score = np.zeros((frames, joints), np.float32)
    for frame, person in detections.items():
        xy[frame], score[frame] = person.xy, person.score
    return KeypointSequence(xy, score, options.needed_size(), options.needed_fps(), skeleton)
