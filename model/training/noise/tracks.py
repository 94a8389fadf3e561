"""A video -> the detections of each person, frame by frame, for the noise fit."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from model.detectors.opening import open_detector
from model.detectors.person import Person
from model.errors import InvalidInput
from model.keypoints.joint_sets import COCO17
from model.keypoints.skeleton import Skeleton
from model.tracking.tracker import Tracker
from model.video.reader import open_video

MAX_PEOPLE = 4

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Track:
    """The detections of one person in one video.

    frames (T,) are frame numbers, increasing; xy (T, 17, 2) px and score (T, 17), COCO-17;
    image_size (width, height) px. Raises InvalidInput.
    """

    clip: str
    person: int
    fps: float
    image_size: tuple[int, int]
    frames: NDArray[np.int64]
    xy: Float64
    score: Float64

    def __post_init__(self) -> None:
        expected = (len(self.frames), len(COCO17.joints))
        if self.xy.shape != (*expected, 2) or self.score.shape != expected:
            raise InvalidInput(
                f"{self.clip}: a track of {len(self.frames)} frames needs xy {(*expected, 2)} and "
                f"score {expected}, got {self.xy.shape} and {self.score.shape}"
            )
        if not (np.isfinite(self.xy).all() and np.isfinite(self.score).all()):
            raise InvalidInput(f"{self.clip}: keypoints and scores must be finite")

    @cached_property
    def height_px(self) -> Float64:
        """Longer side of the box around the joints (T,), running median over about a second: the
        unit of the simulated noise."""
        sides = (self.xy.max(axis=1) - self.xy.min(axis=1)).max(axis=-1)
        height: Float64 = median_filter(sides, size=2 * round(self.fps / 2) + 1, mode="nearest")
        return np.maximum(height, 1.0)

    @cached_property
    def runs(self) -> list[slice]:
        """Runs of consecutive frames, as slices of rows."""
        starts = [0, *(np.flatnonzero(np.diff(self.frames) != 1) + 1), len(self.frames)]
        return [slice(int(a), int(b)) for a, b in pairwise(starts)]


@dataclass(frozen=True)
class DetectedClip:
    """detector (name, version) and the people it detected in a video."""

    detector: tuple[str, str]
    tracks: list[Track]


def detect_clip(clip: Path, detector: str) -> DetectedClip:
    """Detect and track the people of a video.

    Raises InvalidInput if there are none, and the errors of open_video and open_detector.
    """
    with open_video(clip) as video, closing(open_detector(detector, MAX_PEOPLE)) as opened:
        detections = [opened.detect(frame.image, frame.time_s) for frame in video.frames()]
        info = video.read_info
        name, skeleton = (opened.name, opened.version), opened.skeleton
    size = (info.width, info.height)
    return DetectedClip(name, track_people(clip.stem, detections, skeleton, info.fps, size))


def track_people(
    clip: str,
    detections: Sequence[Sequence[Person]],
    skeleton: Skeleton,
    fps: float,
    image_size: tuple[int, int],
) -> list[Track]:
    """The people of each frame -> one Track each. Raises InvalidInput if there are none."""
    tracks: dict[int, dict[int, Person]] = {}
    tracker = Tracker(MAX_PEOPLE)
    for frame, people in enumerate(detections):
        for id, person in tracker.update(people, frame / fps):
            tracks.setdefault(id, {})[frame] = person
        for earlier in tracker.recovered:
            tracks.setdefault(earlier.id, {})[earlier.update] = earlier.person
    if not tracks:
        raise InvalidInput(f"{clip}: nobody was found in its {len(detections)} frames")
    joints = [skeleton.index(name) for name in COCO17.joints]
    return [
        Track(
            clip,
            id,
            fps,
            image_size,
            frames=np.array(sorted(people), np.int64),
            xy=np.array([people[f].xy[joints] for f in sorted(people)], np.float64),
            score=np.array([people[f].score[joints] for f in sorted(people)], np.float64),
        )
        for id, people in sorted(tracks.items())
    ]
