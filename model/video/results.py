"""The result of a video or of keypoints: the motion of every person, and the floor."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput, UnknownName
from model.keypoints.sequences import SPACES, Float32, KeypointSequence, PoseSequence
from model.motion.world import Room, placed, space_warnings
from model.video.metadata import VideoInfo


@dataclass(frozen=True)
class PersonMotion:
    """One person over n frames, of a video or of a keypoint sequence.

    frames (n,) int64 from 0, with gaps while the person is absent; times_s (n,) float64 from the
    video's first frame; keypoints and poses are H36M-17; root (n, 3) m is the pelvis in camera axes
    for any space of the poses, None if not computed; bridged: the frames without a detection, whose
    keypoints were interpolated; confidence (n, 17) 0..1, None for a model without it.
    """

    id: int
    frames: NDArray[np.int64]
    times_s: NDArray[np.float64]
    keypoints: KeypointSequence
    poses: PoseSequence
    root: Float32 | None
    bridged: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    confidence: Float32 | None = None

    @property
    def known_root(self) -> Float32:
        """The root; raises InvalidInput if it was not computed."""
        if self.root is None:
            raise InvalidInput(f"the root of person {self.id} was not computed")
        return self.root

    def row(self, frame: int) -> int | None:
        """The row of a frame of the video; None while the person is absent."""
        row = int(np.searchsorted(self.frames, frame))
        return row if row < len(self.frames) and self.frames[row] == frame else None


@dataclass(frozen=True)
class VideoResult:
    """The motion of every person in a video or a keypoint sequence, and how it was computed.

    video describes the frames that were read; detector and model are (name, version), the detector
    ("none", "") for keypoints; applied holds the options in effect; room is None without people.
    """

    video: VideoInfo
    detector: tuple[str, str]
    model: tuple[str, str]
    people: tuple[PersonMotion, ...]
    warnings: tuple[str, ...]
    applied: Mapping[str, object]
    room: Room | None

    def in_space(self, space: str) -> "VideoResult":
        """The result with its poses in another of SPACES, with a warning if the room was guessed.
        Raises UnknownName, and InvalidInput without roots."""
        if space not in SPACES:
            raise UnknownName("space", space, SPACES)
        people = tuple(
            replace(person, poses=placed(person.poses, person.known_root, self.room, space))
            for person in self.people
        )
        warnings = dict.fromkeys((*self.warnings, *space_warnings(space, self.room)))
        applied = {**self.applied, "space": space}
        return replace(self, people=people, applied=applied, warnings=tuple(warnings))
