"""COCO results: one list of people, each with its image's id."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model.detectors.person import Person
from model.errors import InvalidInput
from model.formats.keypoint_files.people import (
    Detections,
    FiledKeypoints,
    Given,
    check_span,
    parse_person,
    select_person,
    track_people,
)
from model.keypoints.joint_sets import COCO17
from model.keypoints.skeleton import Skeleton

_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True)
class _Entry:
    number: int
    track: int | None
    person: Person


def read_coco(entries: Sequence[Any], options: Given, max_frames: int) -> FiledKeypoints:
    """From the parsed list of `{"image_id", "keypoints": [x, y, score, ..], "track_id"?}`.

    The joint set is COCO-17 unless options name another. image_id is the image's number, or a name
    that ends in it; the lowest is frame 0, and a missing number is a frame without people. People
    are identified by track_id if all have one, else tracked. Raises InvalidInput and TooLarge.
    """
    skeleton, fps = options.skeleton_or(COCO17), options.needed_fps()
    if not entries:
        raise InvalidInput("the file contains no people")
    parsed = [_entry(entry, skeleton, f"entry {row}") for row, entry in enumerate(entries)]
    numbers = [entry.number for entry in parsed]
    first, frames = min(numbers), max(numbers) - min(numbers) + 1
    check_span(frames, max_frames)
    if all(entry.track is not None for entry in parsed):
        return select_person(_by_track(parsed, first), frames, skeleton, options)
    people: list[list[Person]] = [[] for _ in range(frames)]
    for entry in parsed:
        people[entry.number - first].append(entry.person)
    return select_person(track_people(people, fps), frames, skeleton, options)


def _by_track(entries: Sequence[_Entry], first: int) -> dict[int, Detections]:
    people: dict[int, dict[int, Person]] = defaultdict(dict)
    for entry in entries:
        assert entry.track is not None
        detections = people[entry.track]
        if entry.number - first in detections:
            raise InvalidInput(f"track {entry.track} occurs twice in image {entry.number}")
        detections[entry.number - first] = entry.person
    return dict(people)


def _entry(entry: Any, skeleton: Skeleton, place: str) -> _Entry:
    image = entry.get("image_id") if isinstance(entry, dict) else None
    match = _NUMBER.search(image) if isinstance(image, str) else None
    number = int(match[1]) if match else image
    if type(number) is not int:
        raise InvalidInput(f"{place}: expected a COCO result with a number as its image_id")
    track = entry.get("track_id")
    person = parse_person(entry.get("keypoints"), skeleton, place)
    return _Entry(number, track if type(track) is int else None, person)
