"""What was found in a video: everybody's motion, and the room they move in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from model.errors import UnknownName
from model.keypoints.sequences import SPACES, Float32, KeypointSequence, PoseSequence
from model.motion.world import Room, placed, space_warnings
from model.video.reader import VideoInfo


@dataclass(frozen=True)
class PersonMotion:
    """One person, over the n frames in which they were seen or bridged.

    frames (n,) int64 from 0 in the video; times_s (n,) float64 from its first frame; keypoints and
    poses are n frames of H36M-17; root (n, 3) m is where the pelvis is in camera axes, whatever
    space the poses are in. Where frames do not follow each other, the person was away.
    bridged are those of the frames in which they were missed, and their keypoints drawn from the
    sightings before and after.
    confidence (n, 17) 0..1 says how sure each joint is, None where the model has no such (see
    model.lifting.confidence).
    """

    id: int
    frames: NDArray[np.int64]
    times_s: NDArray[np.float64]
    keypoints: KeypointSequence
    poses: PoseSequence
    root: Float32
    bridged: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    confidence: Float32 | None = None

    def row(self, frame: int) -> int | None:
        """Which of the n frames is this one of the video; None while the person is away."""
        row = int(np.searchsorted(self.frames, frame))
        return row if row < len(self.frames) and self.frames[row] == frame else None


@dataclass(frozen=True)
class VideoResult:
    """What was found in a video, and how.

    video is what was really read; detector and model are (name, version); applied are the options,
    and what stood in for those not given; room is None where nobody was seen.
    """

    video: VideoInfo
    detector: tuple[str, str]
    model: tuple[str, str]
    people: tuple[PersonMotion, ...]
    warnings: tuple[str, ...]
    applied: Mapping[str, object]
    room: Room | None

    def in_space(self, space: str) -> "VideoResult":
        """The same with the poses in another of SPACES, and a warning where that was guessed.
        Raises UnknownName."""
        if space not in SPACES:
            raise UnknownName("space", space, SPACES)
        people = tuple(
            replace(one, poses=placed(one.poses, one.root, self.room, space)) for one in self.people
        )
        warnings = dict.fromkeys((*self.warnings, *space_warnings(space, self.room)))
        applied = {**self.applied, "space": space}
        return replace(self, people=people, applied=applied, warnings=tuple(warnings))
