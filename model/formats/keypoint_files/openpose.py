"""A folder that OpenPose filled (--write_json): one JSON file a picture."""

import json
import re
from pathlib import Path

from model.detectors.person import Person
from model.errors import InvalidInput
from model.formats.keypoint_files.people import (
    FiledKeypoints,
    Given,
    check_span,
    chosen,
    person_of,
    told_apart,
)
from model.keypoints.joint_sets import BODY25
from model.keypoints.skeleton import Skeleton

_NAME = re.compile(r"(\d+)(_keypoints)?\.json")


def read_openpose(folder: Path, given: Given, max_frames: int) -> FiledKeypoints:
    """BODY-25, unless another joint set is given. A picture's number is the last one in its file's
    name; a number left out is a picture without anybody, and the first counts as frame 0.
    Raises InvalidInput, TooLarge, OSError."""
    skeleton, fps = given.skeleton_or(BODY25), given.needed_fps()
    files = _numbered(folder)
    first, last = min(files), max(files)
    check_span(last - first + 1, max_frames)
    pictures: list[list[Person]] = [[] for _ in range(first, last + 1)]
    for number, path in files.items():
        pictures[number - first] = _people(path, skeleton)
    return chosen(told_apart(pictures, fps), len(pictures), skeleton, given)


def _numbered(folder: Path) -> dict[int, Path]:
    files: dict[int, Path] = {}
    for path in sorted(folder.glob("*.json")):
        found = _NAME.search(path.name)
        if not found:
            raise InvalidInput(f"{path}: the name has no picture's number, as in walk_012.json")
        number = int(found[1])
        if number in files:
            raise InvalidInput(f"{files[number]} and {path} have the same number")
        files[number] = path
    if not files:
        raise InvalidInput(f"{folder} has no .json files, as OpenPose's --write_json makes them")
    return files


def _people(path: Path, skeleton: Skeleton) -> list[Person]:
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not JSON: {error}") from error
    people = document.get("people") if isinstance(document, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise InvalidInput(f'{path}: expected OpenPose\'s {{"people": [{{..}}, ..]}}')
    return [person_of(one.get("pose_keypoints_2d"), skeleton, str(path)) for one in people]
