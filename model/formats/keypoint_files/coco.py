"""COCO results: one list of people, each with its picture."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model.detectors.person import Person
from model.errors import InvalidInput
from model.formats.keypoint_files.people import (
    FiledKeypoints,
    Given,
    Sightings,
    check_span,
    chosen,
    person_of,
    told_apart,
)
from model.keypoints.joint_sets import COCO17
from model.keypoints.skeleton import Skeleton

_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True)
class _Entry:
    picture: int
    track: int | None
    person: Person


def read_coco(entries: Sequence[Any], given: Given, max_frames: int) -> FiledKeypoints:
    """The parsed list of `{"image_id", "keypoints": [x, y, score, ..], "track_id"?}`; COCO-17,
    unless another joint set is given. image_id is the picture's number, or a name that ends in it;
    a number left out is a picture without anybody, and the first counts as frame 0. People are told
    apart by track_id where all have one. Raises InvalidInput and TooLarge."""
    skeleton, fps = given.skeleton_or(COCO17), given.needed_fps()
    if not entries:
        raise InvalidInput("nobody is in the file")
    found = [_entry(entry, skeleton, f"entry {row}") for row, entry in enumerate(entries)]
    numbers = [one.picture for one in found]
    first, frames = min(numbers), max(numbers) - min(numbers) + 1
    check_span(frames, max_frames)
    if all(one.track is not None for one in found):
        return chosen(_by_track(found, first), frames, skeleton, given)
    pictures: list[list[Person]] = [[] for _ in range(frames)]
    for one in found:
        pictures[one.picture - first].append(one.person)
    return chosen(told_apart(pictures, fps), frames, skeleton, given)


def _by_track(found: Sequence[_Entry], first: int) -> dict[int, Sightings]:
    people: dict[int, dict[int, Person]] = defaultdict(dict)
    for one in found:
        assert one.track is not None
        sightings = people[one.track]
        if one.picture - first in sightings:
            raise InvalidInput(f"track {one.track} is twice in picture {one.picture}")
        sightings[one.picture - first] = one.person
    return dict(people)


def _entry(entry: Any, skeleton: Skeleton, place: str) -> _Entry:
    image = entry.get("image_id") if isinstance(entry, dict) else None
    named = _NUMBER.search(image) if isinstance(image, str) else None
    picture = int(named[1]) if named else image
    if type(picture) is not int:
        raise InvalidInput(f"{place}: expected a COCO result with a number as its image_id")
    track = entry.get("track_id")
    person = person_of(entry.get("keypoints"), skeleton, place)
    return _Entry(picture, track if type(track) is int else None, person)
