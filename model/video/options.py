"""What can be asked of a video, and the limits of that."""

from dataclasses import dataclass
from math import isfinite

from model.detectors.names import read_name
from model.errors import InvalidInput, UnknownName
from model.keypoints.sequences import SPACES
from model.lifting.lifter import LiftOptions
from model.motion.smoothing import SMOOTHINGS

MAX_PEOPLE = 16
MAX_DETECT_EVERY = 30


@dataclass(frozen=True)
class VideoOptions:
    """How a video is worked on; the last four are LiftOptions'. Raises InvalidInput.

    min_length: people seen for fewer seconds are left out. detect_every: the detector looks at
    every n-th frame and the last; between them keypoints move on straight lines in time. repair:
    exchange left and right back where the detector took one for the other. remove_outliers: a
    keypoint that leaves its own path for a moment is put back on it. constant_limbs: limbs keep
    their median lengths. space: of the poses, one of SPACES.
    """

    detector: str = "mediapipe"
    max_people: int = 4
    min_length: float = 0.0
    smoothing: str = "butterworth"
    detect_every: int = 1
    repair: bool = True
    remove_outliers: bool = False
    constant_limbs: bool = False
    space: str = "root"
    readout: str = "centre"
    flip: bool = False
    focal_px: float | None = None
    height_m: float | None = None

    def __post_init__(self) -> None:
        read_name(self.detector)
        if self.smoothing not in SMOOTHINGS:
            raise UnknownName("smoothing", self.smoothing, SMOOTHINGS)
        if self.space not in SPACES:
            raise UnknownName("space", self.space, SPACES)
        if not 1 <= self.max_people <= MAX_PEOPLE:
            raise InvalidInput(
                f"max_people lies in 1..{MAX_PEOPLE}, got {self.max_people}", ("max_people",)
            )
        if not 1 <= self.detect_every <= MAX_DETECT_EVERY:
            raise InvalidInput(
                f"detect_every lies in 1..{MAX_DETECT_EVERY}, got {self.detect_every}",
                ("detect_every",),
            )
        if not (isfinite(self.min_length) and self.min_length >= 0):
            raise InvalidInput(
                f"min_length is a number of seconds, 0 or more, got {self.min_length}",
                ("min_length",),
            )
        self.lift_options()

    def lift_options(self) -> LiftOptions:
        return LiftOptions(self.readout, self.flip, self.focal_px, self.height_m)
