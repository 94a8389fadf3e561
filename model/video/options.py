"""The options of a video, declared once for POST /video, `poselift video` and Python."""

from dataclasses import dataclass

from model.detectors.names import read_name
from model.lifting.options import option
from model.motion.chain import MotionOptions
from model.motion.smoothing import SMOOTHINGS

MAX_PEOPLE = 16
MAX_DETECT_EVERY = 30


@dataclass(frozen=True)
class VideoOptions(MotionOptions):
    """Options of processing a video; raises InvalidInput for a value outside its limits."""

    smoothing: str = option("butterworth", "filter over time", choices=SMOOTHINGS)
    detector: str = option("mediapipe", "the 2D detector; default: that of the settings")
    max_people: int = option(4, "people tracked at once", least=1, most=MAX_PEOPLE)
    min_length: float = option(0.0, "leave out people detected for fewer seconds", least=0)
    detect_every: int = option(
        1,
        "run the detector on every n-th frame only, faster but less exact; keypoints between are "
        "interpolated",
        least=1,
        most=MAX_DETECT_EVERY,
    )
    repair: bool = option(True, "undo left/right swaps of the detector")
    remove_outliers: bool = option(False, "correct keypoints that leave their path for a moment")

    def __post_init__(self) -> None:
        super().__post_init__()
        read_name(self.detector)
