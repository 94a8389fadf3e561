"""The steps after the network, the same for every interface: confidence, filter, limb lengths,
place, warnings, and what was applied."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.keypoints.sequences import SPACES, Float32, KeypointSequence, PoseSequence
from model.lifting.lifter import Lifter
from model.lifting.options import LiftOptions, option
from model.lifting.passes import Lifting
from model.lifting.root import focal_or_assumed, root_track
from model.lifting.stream import LiftStream, Poses, StreamAnswers
from model.motion.limbs import constant_limbs
from model.motion.smoothing import CAUSAL_SMOOTHINGS, SMOOTHINGS, OneEuro, smooth


@dataclass(frozen=True)
class MotionOptions(LiftOptions):
    """How a sequence is lifted and finished. Raises InvalidInput for a value outside its limits."""

    smoothing: str = option("none", "filter over time", choices=SMOOTHINGS)
    constant_limbs: bool = option(False, "give every limb its median length in all frames")
    space: str = option(
        "root",
        "where poses are: relative to the pelvis; from the camera; or in the world, y up, with the "
        "floor at 0",
        choices=SPACES,
    )


class Motion(NamedTuple):
    """Finished poses of one person, root-relative; confidence (n, 17) 0..1, None for a model
    without it; root (n, 3) m in camera axes, None where it was not computed."""

    poses: PoseSequence
    confidence: Float32 | None
    root: Float32 | None


def lift_motion(
    lifter: Lifter,
    keypoints: KeypointSequence,
    options: MotionOptions,
    *,
    runs: Sequence[NDArray[np.int64]] | None = None,
    place: bool = True,
) -> Lifting[Motion]:
    """Lift H36M-17 keypoints and finish the motion; `place`: also compute the root.

    `runs` are the rows of consecutive frames, by default one run of all rows: each is lifted,
    filtered and placed on its own; limb lengths are the person's. Raises InvalidInput.
    """
    runs = runs or [np.arange(len(keypoints))]
    parts, sure = [], []
    for rows in runs:
        run = keypoints.pick(rows)
        lifted = yield from lifter.lifting(run, options)
        sure.append(lifter.confidence(run, lifted, options))
        parts.append(smooth(lifted, options.smoothing).xyz)
    poses = PoseSequence(np.concatenate(parts), keypoints.fps)
    if options.constant_limbs:
        poses = constant_limbs(poses)
    known = [part for part in sure if part is not None]
    root = _root(poses, keypoints, runs, options) if place else None
    return Motion(poses, np.concatenate(known) if known else None, root)


def _root(
    poses: PoseSequence,
    keypoints: KeypointSequence,
    runs: Sequence[NDArray[np.int64]],
    options: MotionOptions,
) -> Float32:
    focal_px = focal_or_assumed(options.focal_px, keypoints.image_size)
    return np.concatenate(
        [
            root_track(replace(poses, xyz=poses.xyz[rows]), keypoints.pick(rows), focal_px)
            for rows in runs
        ]
    )


def check_causal(options: MotionOptions) -> None:
    """Raises InvalidInput for an option that a stream cannot have, since it needs later frames."""
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
    """A LiftStream whose poses are finished as `lift_motion` does it: with the filter one_euro, or
    none. Raises InvalidInput for options that need later frames."""

    def __init__(
        self, lifter: Lifter, options: MotionOptions, lookahead: int | None, *, fps: float
    ):
        check_causal(options)
        self._stream = LiftStream(lifter, options, lookahead, fps=fps)
        self._open_filter: Callable[[], OneEuro] | None = None
        if options.smoothing == "one_euro":
            self._open_filter = lambda: OneEuro(fps)
        self._filters = self._new_filters()

    @property
    def pushed(self) -> int:
        """Frames pushed since the beginning, or the last flush."""
        return self._stream.pushed

    def push(self, sequence: KeypointSequence) -> Lifting[StreamAnswers]:
        """Take the next frames; returns the poses that they complete."""
        return self._filtered((yield from self._stream.push(sequence)))

    def flush(self) -> Lifting[StreamAnswers]:
        """The poses still due; then the stream is as new."""
        poses = self._filtered((yield from self._stream.flush()))
        self._filters = self._new_filters()
        return poses

    def _new_filters(self) -> list[OneEuro]:
        """One for the final poses and one for the provisional ones."""
        return [self._open_filter() for _ in StreamAnswers._fields] if self._open_filter else []

    def _filtered(self, poses: StreamAnswers) -> StreamAnswers:
        if not self._filters:
            return poses
        pairs = zip(poses, self._filters, strict=True)
        return StreamAnswers(*(Poses(part.frames, one.push(part.xyz)) for part, one in pairs))


def applied(
    lifter: Lifter, options: MotionOptions, fps: float, image_size: tuple[int, int] | None
) -> dict[str, Any]:
    """The options in effect, and the values that stand in for those not given. image_size is None
    where it is not known yet."""
    used = lifter.info.normalisation == "person" or options.space != "root"
    focal_px = options.focal_px
    if focal_px is None and used and image_size is not None:
        focal_px = focal_or_assumed(None, image_size)
    return {
        "readout": options.readout,
        "flip": options.flip,
        "smoothing": options.smoothing,
        "constant_limbs": options.constant_limbs,
        "space": options.space,
        "lift_every": lifter.info.stride(fps),
        "focal_px": focal_px,
        "height_m": lifter.info.height_m if options.height_m is None else options.height_m,
        "confidence_within_mm": lifter.info.confidence_within_mm,
    }


def rate_warnings(lifter: Lifter, fps: float) -> list[str]:
    """Warns of a frame rate that the model was not trained for."""
    if lifter.info.covers(fps):
        return []
    low, high = lifter.info.fps
    stride = lifter.info.stride(fps)
    strided = f"; one frame in {stride} was lifted, the poses between were interpolated"
    return [
        f"the model was trained for {low:g}-{high:g} frames/s, the input has {fps:.4g}"
        + strided * (stride > 1)
    ]


def keypoint_warnings(keypoints: KeypointSequence) -> list[str]:
    """Warns of frames without any visible joint."""
    empty = int(np.count_nonzero(~(keypoints.confidence > 0).any(axis=1)))
    if not empty:
        return []
    return [f"no joint is seen in {empty} of {len(keypoints)} frames: their poses are guessed"]
