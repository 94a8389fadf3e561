"""What tells that a joint of a lifted pose may be wrong, without a second look.

Signals of trouble, the higher the worse, and of posture, which say how hard the pose is: each a
number 0 or more for every joint of every frame (T, 17), made of the 2D keypoints and the poses
alone, so that every door has the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from model.keypoints.sequences import Float32, KeypointSequence
from model.keypoints.skeleton import H36M17
from model.lifting.camera import MIN_SEEN, pixels_to_rays
from model.lifting.root import linear_roots

FAST_S = 0.06
"""Spread of the bell over which a joint's path is taken to be smooth: 2 to 4 frames."""
SLOW_S = 0.15
"""Spread of the bell over which trouble beside a frame counts for it."""
MIN_FRAMES = 5
MIN_FPS = 12.0
"""With fewer frames, or frames farther apart, nothing is known of a path."""
LOW_SCORE = 0.3
"""Below it detectors are taken to guess."""
NEAREST_M = 0.1
"""A joint is taken to lie at least so far before the camera."""

Float64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

_PARENTS = np.maximum(H36M17.parents, 0)


@dataclass(frozen=True)
class Evidence:
    """One person's consecutive frames: H36M-17 keypoints, the poses (T, 17, 3) m lifted from them,
    before any filter and at the model's own body size, the lengths (17,) m that bones have at that
    size, each at its joint, and the focal length the poses were lifted with."""

    keypoints: KeypointSequence
    xyz: Float32
    bones_m: Float64
    focal_px: float

    @property
    def has_path(self) -> bool:
        return len(self.xyz) >= MIN_FRAMES and self.keypoints.fps >= MIN_FPS

    @cached_property
    def seen(self) -> Bools:
        return self.keypoints.confidence > 0

    @cached_property
    def body_px(self) -> Float64:
        """(T,): half the longer side of the box of the seen joints; where too few are seen, the
        median of the others."""
        xy, seen = self.keypoints.xy, self.seen[..., None]
        low = np.where(seen, xy, np.inf).min(axis=1)
        high = np.where(seen, xy, -np.inf).max(axis=1)
        enough = self.seen.sum(axis=1) >= MIN_SEEN
        half = np.full(len(xy), max(self.keypoints.image_size) / 2)
        half[enough] = (high - low)[enough].max(axis=-1) / 2
        half[~enough] = np.median(half[enough] if enough.any() else half)
        return np.maximum(half, 1)

    @cached_property
    def limbs_m(self) -> Float64:
        """(T, 17): the length of the bone that ends at each joint."""
        bones = self.xyz.astype(np.float64) - self.xyz[:, _PARENTS]
        return np.maximum(np.linalg.norm(bones, axis=-1), 1e-3)

    def bell(self, values: Float64, spread_s: float) -> Float64:
        """Over time (axis 0), the ends repeated."""
        sigma = spread_s * self.keypoints.fps
        if sigma < 0.1:  # the neighbours weigh nothing
            return values
        smoothed: Float64 = gaussian_filter1d(values, sigma, axis=0, mode="nearest")
        return smoothed


def signals(evidence: Evidence) -> dict[str, Float64]:
    """Every signal by its name; a large sequence takes them one by one from SIGNALS."""
    return {name: signal(evidence) for name, signal in SIGNALS.items()}


def _unseen(evidence: Evidence) -> Float64:
    """1 where a joint is not seen, and falls to 0 where its score is a doubt no more."""
    doubt = 1 - evidence.keypoints.confidence.astype(np.float64) / LOW_SCORE
    return evidence.bell(np.clip(doubt, 0, 1), SLOW_S)


def _unsure_body(evidence: Evidence) -> Float64:
    """What the scores of all joints lack of 1."""
    missing = 1 - evidence.keypoints.confidence.astype(np.float64)
    missing = evidence.bell(missing.mean(axis=1, keepdims=True), SLOW_S)
    return np.broadcast_to(missing, evidence.seen.shape)


def _jitter(evidence: Evidence) -> Float64:
    """How far a keypoint lies off its own smooth path, in thousandths of the body, logarithmic."""
    weight = evidence.seen.astype(np.float64)
    xy = evidence.keypoints.xy / evidence.body_px[:, None, None]
    known = np.maximum(evidence.bell(weight, FAST_S), 1e-3)[..., None]
    smooth = evidence.bell(xy * weight[..., None], FAST_S) / known
    off = np.linalg.norm(xy - smooth, axis=-1) * weight
    mean = evidence.bell(off**2, SLOW_S) / np.maximum(evidence.bell(weight, SLOW_S), 1e-3)
    return np.log1p(np.sqrt(mean) / 0.002)


def _pose_jitter(evidence: Evidence) -> Float64:
    """The same of the joint in space, in units of 3 mm."""
    xyz = evidence.xyz.astype(np.float64)
    off = np.linalg.norm(xyz - evidence.bell(xyz, FAST_S), axis=-1)
    return np.log1p(np.sqrt(evidence.bell(off**2, SLOW_S)) / 0.003)


def _short(evidence: Evidence) -> Float64:
    """How much too short the bones from the pelvis to the joint are, in all: a network shortens a
    limb where it is unsure of its direction."""
    short = np.clip(np.log(evidence.bones_m / evidence.limbs_m), 0, 1.5)
    return np.stack([short[:, chain].sum(axis=1) for chain in _CHAINS], axis=1)


def _reprojection(evidence: Evidence) -> Float64:
    """How far the pose, put where it fits the picture best, lies off the keypoint; in units of 3 %
    of the body, logarithmic."""
    keypoints = evidence.keypoints
    size = np.array(keypoints.image_size)
    rays = pixels_to_rays(keypoints.xy.astype(np.float64), size, evidence.focal_px)
    weights = keypoints.confidence + 1e-6 * evidence.seen
    known = evidence.seen.any(axis=1)
    xyz = evidence.xyz.astype(np.float64)
    xyz[known] += linear_roots(xyz[known], rays[known], weights[known])[:, None]
    off = np.linalg.norm(xyz[..., :2] / np.maximum(xyz[..., 2:], NEAREST_M) - rays, axis=-1)
    share = off * evidence.seen * evidence.focal_px / evidence.body_px[:, None]
    return evidence.bell(np.log1p(np.minimum(share, 5) / 0.03), SLOW_S)


def _far(evidence: Evidence) -> Float64:
    """From the pelvis, m."""
    return np.linalg.norm(evidence.xyz.astype(np.float64), axis=-1)


def _lean(evidence: Evidence) -> Float64:
    """Of the trunk: 0 upright in the picture, 1 head down."""
    trunk = evidence.xyz[:, H36M17.index("thorax")].astype(np.float64)
    down = trunk[:, 1] / np.maximum(np.linalg.norm(trunk, axis=-1), 1e-3)
    return np.repeat((1 + down[:, None]) / 2, len(_PARENTS), axis=1)


def _behind(evidence: Evidence) -> Float64:
    """The pelvis, m."""
    return np.clip(evidence.xyz[..., 2].astype(np.float64), 0, 1)


def _before(evidence: Evidence) -> Float64:
    return np.clip(-evidence.xyz[..., 2].astype(np.float64), 0, 1)


def _chain(joint: int) -> list[int]:
    """The joint and those between it and the pelvis; of the pelvis nothing."""
    chain = []
    while joint != H36M17.root:
        chain.append(joint)
        joint = H36M17.parents[joint]
    return chain


_CHAINS = [_chain(joint) for joint in range(len(H36M17.joints))]

SIGNALS: Mapping[str, Callable[[Evidence], Float64]] = {
    "unseen": _unseen,
    "unsure body": _unsure_body,
    "jitter": _jitter,
    "pose jitter": _pose_jitter,
    "short": _short,
    "reprojection": _reprojection,
    "far": _far,
    "lean": _lean,
    "behind": _behind,
    "before": _before,
}
OF_PATHS = ("jitter", "pose jitter")
"""Those that a single frame does not have."""
POSTURE = ("lean", "behind", "before")
"""Those that are no trouble in themselves."""
