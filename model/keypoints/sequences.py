"""One person's 2D keypoints (input) and 3D poses (output) over time."""

from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.keypoints.skeleton import H36M17, Skeleton, to_h36m17

MAX_COORDINATE_PX = 1e6
MAX_IMAGE_SIDE_PX = 65536
MAX_FPS = 1000.0
SPACES = ("root", "camera", "world")

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]
Image = NDArray[np.uint8]
"""RGB (H, W, 3)."""


@dataclass(frozen=True)
class KeypointSequence:
    """2D keypoints of one person over T frames.

    xy (T, J, 2) px in the upright image, x right, y down, |value| <= 1e6; confidence (T, J) in
    0..1, where 0 means not seen (xy is set to 0); image_size (width, height) px; fps in 1/s.
    Validated on construction: raises InvalidInput.
    """

    xy: Float32
    confidence: Float32
    image_size: tuple[int, int]
    fps: float
    skeleton: Skeleton

    def __post_init__(self) -> None:
        joints = len(self.skeleton.joints)
        xy = np.asarray(self.xy, np.float32)
        confidence = np.asarray(self.confidence, np.float32)
        if xy.ndim != 3 or xy.shape[1:] != (joints, 2):
            raise InvalidInput(
                f"keypoints of {self.skeleton.name} must be (frames, {joints}, 2), got {xy.shape}",
                where=("keypoints",),
            )
        if len(xy) == 0:
            raise InvalidInput("expected at least one frame, got none", where=("keypoints",))
        if confidence.shape != xy.shape[:2]:
            raise InvalidInput(
                f"confidence must be (frames, joints) = {xy.shape[:2]}, got {confidence.shape}",
                where=("keypoints",),
            )
        lowest = _lowest_score(confidence)
        _check_image_and_rate(self.image_size, self.fps)
        xy = xy.copy() if lowest > 0 else np.where((confidence > 0)[..., None], xy, np.float32(0))
        _check_coordinates(xy)
        xy.flags.writeable = False
        object.__setattr__(self, "xy", xy)
        object.__setattr__(self, "confidence", confidence)

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def rows(self) -> Float32:
        """(T, J, 3): x, y, score; all 0 for a joint not seen."""
        return np.concatenate([self.xy, self.confidence[..., None]], axis=-1)

    def pick(self, frames: Indices) -> "KeypointSequence":
        """The frames with these indices."""
        return replace(self, xy=self.xy[frames], confidence=self.confidence[frames])

    def to_h36m17(self) -> "KeypointSequence":
        """The same person in Human3.6M's 17 joints (model.keypoints.skeleton); interpolated joints
        are clipped to the coordinate limit."""
        if self.skeleton == H36M17:
            return self
        xy, confidence = to_h36m17(self.xy, self.confidence, self.skeleton)
        clipped = np.clip(xy, -MAX_COORDINATE_PX, MAX_COORDINATE_PX)
        return replace(self, xy=clipped, confidence=confidence, skeleton=H36M17)


@dataclass(frozen=True)
class PoseSequence:
    """3D poses of one person over T frames, H36M-17.

    xyz (T, 17, 3) m, finite, in one of SPACES: `root`, camera axes (x right, y down, z forward)
    relative to the pelvis; `camera`, camera axes relative to the camera; `world`, y up
    (model.motion.world). Raises InvalidInput.
    """

    xyz: Float32
    fps: float
    skeleton: Skeleton = H36M17
    space: str = "root"

    def __post_init__(self) -> None:
        if self.xyz.ndim != 3 or self.xyz.shape[1:] != (len(self.skeleton.joints), 3):
            raise InvalidInput(
                f"poses must be (frames, {len(self.skeleton.joints)}, 3), got {self.xyz.shape}"
            )
        if not np.isfinite(self.xyz).all():
            raise InvalidInput("poses must be finite")

    def __len__(self) -> int:
        return len(self.xyz)


def _lowest_score(confidence: Float32) -> np.float32:
    lowest: np.float32 = confidence.min()
    if lowest >= 0 and confidence.max() <= 1:  # false if any is NaN
        return lowest
    frame, joint = (int(i) for i in np.argwhere(~((confidence >= 0) & (confidence <= 1)))[0])
    raise InvalidInput(
        f"a score must be between 0 and 1, got {confidence[frame, joint]}",
        where=("keypoints", frame, joint),
    )


def _check_coordinates(xy: Float32) -> None:
    if np.abs(xy).max() <= MAX_COORDINATE_PX:
        return
    outside = ~(np.abs(xy) <= MAX_COORDINATE_PX).all(axis=-1)
    frame, joint = (int(i) for i in np.argwhere(outside)[0])
    raise InvalidInput(
        f"coordinates must be finite and at most 1e6 px, got {xy[frame, joint].tolist()}",
        where=("keypoints", frame, joint),
    )


def _check_image_and_rate(image_size: tuple[int, int], fps: float) -> None:
    if len(image_size) != 2 or not all(
        isinstance(side, int) and 1 <= side <= MAX_IMAGE_SIDE_PX for side in image_size
    ):
        raise InvalidInput(
            f"image_size must be two integers 1..{MAX_IMAGE_SIDE_PX} px, got {image_size}",
            where=("image_size",),
        )
    if not (isfinite(fps) and 0 < fps <= MAX_FPS):
        raise InvalidInput(
            f"fps must be above 0 and at most {MAX_FPS:g}, got {fps}", where=("fps",)
        )
