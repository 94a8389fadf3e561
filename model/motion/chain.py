"""The steps after the network, the same for every interface: confidence, filter, limb lengths,
root, warnings, and the options applied."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from model.errors import InvalidInput
from model.keypoints.sequences import (
    SPACES,
    Float32,
    Float64,
    Indices,
    KeypointSequence,
    PoseSequence,
)
from model.lifting.grid import Sampled, at_frames
from model.lifting.lifter import Lifter
from model.lifting.options import LiftOptions, option
from model.lifting.passes import Lifting
from model.lifting.root import focal_or_assumed, root_track
from model.lifting.stream import LiftStream, Poses, StreamAnswers
from model.motion.limbs import constant_limbs
from model.motion.smoothing import (
    CAUSAL_SMOOTHINGS,
    MIN_FPS,
    SMOOTHINGS,
    OneEuro,
    filters_at,
    smooth,
)


@dataclass(frozen=True)
class MotionOptions(LiftOptions):
    """Options of lifting and of the steps after it; raises InvalidInput for a value outside its
    limits."""

    smoothing: str = option("none", "filter over time", choices=SMOOTHINGS)
    constant_limbs: bool = option(False, "give every limb its median length in all frames")
    space: str = option(
        "root",
        "coordinates of the poses: root (relative to the pelvis), camera, or world (y up, floor at "
        "0)",
        choices=SPACES,
    )


class Motion(NamedTuple):
    """Root-relative poses of one person; confidence (n, 17) 0..1, None for a model without it; root
    (n, 3) m in camera axes, None if not computed."""

    poses: PoseSequence
    confidence: Float32 | None
    root: Float32 | None


def lift_motion(
    lifter: Lifter,
    keypoints: KeypointSequence,
    options: MotionOptions,
    *,
    runs: Sequence[Indices] | None = None,
    times_s: Float64 | None = None,
    place: bool = True,
) -> Lifting[Motion]:
    """Lift one person's H36M-17 keypoints and apply the steps after the network; `place`: also
    compute the root.

    Each of `runs`, rows of consecutive frames (by default all), is processed alone, except for limb
    lengths, which are the person's. A run whose frames are uneven in time, by times_s (n,), is
    processed on an even grid of its own rate. Raises InvalidInput.
    """
    runs = runs or [np.arange(len(keypoints))]
    sampled = [Sampled.of(keypoints, rows, times_s) for rows in runs]
    parts, confidences = [], []
    for run in sampled:
        lifted = yield from lifter.lifting(run.keypoints, options)
        if (confidence := lifter.confidence(run.keypoints, lifted, options)) is not None:
            confidences.append(confidence[..., None])
        parts.append(smooth(lifted, options.smoothing).xyz)
    poses = PoseSequence(np.concatenate(parts), keypoints.fps)
    if options.constant_limbs:
        poses = constant_limbs(poses)
    parts = np.split(poses.xyz, np.cumsum([len(part) for part in parts])[:-1])
    focal_px = focal_or_assumed(options.focal_px, keypoints.image_size)
    roots = [
        root_track(PoseSequence(xyz, run.keypoints.fps), run.keypoints, focal_px)[:, None]
        for run, xyz in zip(sampled, parts, strict=True)
        if place
    ]
    poses = PoseSequence(at_frames(sampled, parts), keypoints.fps)
    if options.constant_limbs and any(run.grid for run in sampled):
        poses = constant_limbs(poses)  # interpolation has shortened them
    return Motion(
        poses,
        at_frames(sampled, confidences)[..., 0] if confidences else None,
        at_frames(sampled, roots)[:, 0] if roots else None,
    )


def check_causal(options: MotionOptions) -> None:
    """Raises InvalidInput for an option that needs later frames, which a stream does not have."""
    allowed = {
        "smoothing": CAUSAL_SMOOTHINGS,
        "space": ("root",),
        "constant_limbs": (False,),
        "readout": ("centre",),
    }
    for name, values in allowed.items():
        if (value := getattr(options, name)) not in values:
            names = " or ".join(map(str, values))
            raise InvalidInput(
                f"{name} must be {names} in a stream, got {value}, which needs later frames",
                (name,),
            )


class MotionStream:
    """A LiftStream with a filter (one_euro or none) for its poses, equal to `lift_motion`. Raises
    InvalidInput for options that need later frames."""

    def __init__(
        self, lifter: Lifter, options: MotionOptions, lookahead: int | None, *, fps: float
    ):
        check_causal(options)
        self._stream = LiftStream(lifter, options, lookahead, fps=fps)
        self._fps = fps
        # one for the final and one for the provisional poses
        kinds = StreamAnswers._fields if options.smoothing == "one_euro" else ()
        self._filters = [OneEuro(fps) for _ in kinds]

    @property
    def pushed(self) -> int:
        """Frames pushed since the beginning or the last flush."""
        return self._stream.pushed

    def push(self, sequence: KeypointSequence) -> Lifting[StreamAnswers]:
        """Take the next frames; returns the poses that they complete."""
        return self._filtered((yield from self._stream.push(sequence)))

    def flush(self) -> Lifting[StreamAnswers]:
        """The remaining poses; then the stream starts anew."""
        poses = self._filtered((yield from self._stream.flush()))
        self._filters = [OneEuro(self._fps) for _ in self._filters]
        return poses

    def _filtered(self, poses: StreamAnswers) -> StreamAnswers:
        if not self._filters:
            return poses
        pairs = zip(poses, self._filters, strict=True)
        return StreamAnswers(*(Poses(part.frames, filter.push(part.xyz)) for part, filter in pairs))


def applied(
    lifter: Lifter, options: MotionOptions, fps: float, image_size: tuple[int, int] | None
) -> dict[str, Any]:
    """The options in effect, with the values used for those not set; image_size is None if it is
    not known yet."""
    used = lifter.info.normalisation == "person" or options.space != "root"
    focal_px = options.focal_px
    if focal_px is None and used and image_size is not None:
        focal_px = focal_or_assumed(None, image_size)
    return {
        "readout": options.readout,
        "flip": options.flip,
        "smoothing": options.smoothing if filters_at(options.smoothing, fps) else "none",
        "constant_limbs": options.constant_limbs,
        "space": options.space,
        "lift_every": lifter.info.stride(fps),
        "focal_px": focal_px,
        "height_m": lifter.info.height_m if options.height_m is None else options.height_m,
        "confidence_within_mm": lifter.info.confidence_within_mm,
    }


def rate_warnings(lifter: Lifter, fps: float) -> list[str]:
    """A warning if the model was not trained for the frame rate."""
    if lifter.info.covers(fps):
        return []
    low, high = lifter.info.fps
    stride = lifter.info.stride(fps)
    strided = f"; one frame in {stride} was lifted, the poses between were interpolated"
    return [
        f"the model was trained for {low:g}-{high:g} frames/s, the input has {fps:.4g}"
        + strided * (stride > 1)
    ]


def filter_warnings(options: MotionOptions, fps: float) -> list[str]:
    """A warning if the frame rate is too low for the filter."""
    if options.smoothing == "none" or filters_at(options.smoothing, fps):
        return []
    least = MIN_FPS[options.smoothing]
    return [
        f"smoothing {options.smoothing} needs more than {least:.3g} frames/s, the input has "
        f"{fps:.3g}: no filter was applied"
    ]


def keypoint_warnings(keypoints: KeypointSequence) -> list[str]:
    """A warning if frames have no seen joint."""
    empty = int(np.count_nonzero(~(keypoints.confidence > 0).any(axis=1)))
    if not empty:
        return []
    return [f"no joint is seen in {empty} of {len(keypoints)} frames: their poses are guessed"]
