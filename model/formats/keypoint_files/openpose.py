"""A folder written by OpenPose (--write_json): one JSON file for each image."""

import json
import re
from pathlib import Path

from model.detectors.person import Person
from model.errors import InvalidInput
from model.formats.keypoint_files.people import (
    FiledKeypoints,
    Given,
    check_span,
    parse_person,
    select_person,
    track_people,
)
from model.keypoints.joint_sets import BODY25
from model.keypoints.skeleton import Skeleton

_NAME = re.compile(r"(\d+)(_keypoints)?\.json")


def read_openpose(folder: Path, options: Given, max_frames: int) -> FiledKeypoints:
    """The joint set is BODY-25 unless options name another. An image's number is the last in its
    file's name; the lowest is frame 0, and a missing number is a frame without people. People are
    tracked from frame to frame. Raises InvalidInput, TooLarge, OSError."""
    skeleton, fps = options.skeleton_or(BODY25), options.needed_fps()
    files = _numbered(folder)
    first, last = min(files), max(files)
    check_span(last - first + 1, max_frames)
    people: list[list[Person]] = [[] for _ in range(first, last + 1)]
    for number, path in files.items():
        people[number - first] = _people(path, skeleton)
    return select_person(track_people(people, fps), len(people), skeleton, options)


def _numbered(folder: Path) -> dict[int, Path]:
    files: dict[int, Path] = {}
    for path in sorted(folder.glob("*.json")):
        match = _NAME.search(path.name)
        if not match:
            raise InvalidInput(f"{path}: expected a name with the frame number, as walk_012.json")
        number = int(match[1])
        if number in files:
            raise InvalidInput(f"{files[number]} and {path} have the same number")
        files[number] = path
    if not files:
        raise InvalidInput(f"{folder} has no .json files, as OpenPose's --write_json writes them")
    return files


def _people(path: Path, skeleton: Skeleton) -> list[Person]:
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not JSON: {error}") from error
    people = document.get("people") if isinstance(document, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise InvalidInput(f'{path}: expected OpenPose\'s {{"people": [{{..}}, ..]}}')
    return [parse_person(person.get("pose_keypoints_2d"), skeleton, str(path)) for person in people]
