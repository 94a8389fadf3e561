"""Signals of how likely a joint of a lifted pose is wrong, computed from keypoints and poses alone.

Each is >= 0 for every joint of every frame (T, 17). Most indicate errors, the higher the worse; the
signals of posture measure how hard the pose is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter1d

from model.keypoints.sequences import Bools, Float32, Float64, KeypointSequence
from model.keypoints.skeleton import H36M17
from model.lifting.camera import MIN_SEEN, pixels_to_rays
from model.lifting.root import linear_roots

FAST_S = 0.06
"""Standard deviation of the filter that gives a joint's smooth path: 2 to 4 frames."""
SLOW_S = 0.15
"""Standard deviation of the filter that spreads a signal to neighbouring frames."""
MIN_FRAMES = 5
MIN_FPS = 12.0
"""Below either, paths over time cannot be judged."""
LOW_SCORE = 0.3
"""Detectors are assumed to guess below this score."""
NEAREST_M = 0.1
"""Lower limit of a joint's depth."""

_PARENTS = np.maximum(H36M17.parents, 0)


@dataclass(frozen=True)
class Evidence:
    """One person's consecutive frames: H36M-17 keypoints; the unfiltered poses xyz (T, 17, 3) m
    lifted from them, at the model's body size; bones_m (17,), typical lengths at that size of the
    bone ending at each joint; the focal length used for lifting."""

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
        """(T,): half the longer side of the box of seen joints; for frames with fewer than
        MIN_SEEN, the median of the others."""
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
        """(T, 17): length of the bone ending at each joint."""
        bones = self.xyz.astype(np.float64) - self.xyz[:, _PARENTS]
        return np.maximum(np.linalg.norm(bones, axis=-1), 1e-3)

    def smooth(self, values: Float64, spread_s: float) -> Float64:
        """A Gaussian filter over time (axis 0), with the ends repeated."""
        sigma = spread_s * self.keypoints.fps
        if sigma < 0.1:  # neighbours have no weight
            return values
        smoothed: Float64 = gaussian_filter1d(values, sigma, axis=0, mode="nearest")
        return smoothed


def signals(evidence: Evidence) -> dict[str, Float64]:
    """All signals by name; use SIGNALS one by one to save memory."""
    return {name: signal(evidence) for name, signal in SIGNALS.items()}


def _unseen(evidence: Evidence) -> Float64:
    """1 for an unseen joint, falling to 0 at LOW_SCORE."""
    doubt = 1 - evidence.keypoints.confidence.astype(np.float64) / LOW_SCORE
    return evidence.smooth(np.clip(doubt, 0, 1), SLOW_S)


def _unsure_body(evidence: Evidence) -> Float64:
    """1 - the mean score of all joints."""
    missing = 1 - evidence.keypoints.confidence.astype(np.float64)
    missing = evidence.smooth(missing.mean(axis=1, keepdims=True), SLOW_S)
    return np.broadcast_to(missing, evidence.seen.shape)


def _jitter(evidence: Evidence) -> Float64:
    """Log distance of a keypoint from its smooth path, in units of 0.2 % of body_px."""
    weight = evidence.seen.astype(np.float64)
    xy = evidence.keypoints.xy / evidence.body_px[:, None, None]
    known = np.maximum(evidence.smooth(weight, FAST_S), 1e-3)[..., None]
    path = evidence.smooth(xy * weight[..., None], FAST_S) / known
    off = np.linalg.norm(xy - path, axis=-1) * weight
    mean = evidence.smooth(off**2, SLOW_S) / np.maximum(evidence.smooth(weight, SLOW_S), 1e-3)
    return np.log1p(np.sqrt(mean) / 0.002)


def _pose_jitter(evidence: Evidence) -> Float64:
    """Log distance of a 3D joint from its smooth path, in units of 3 mm."""
    xyz = evidence.xyz.astype(np.float64)
    off = np.linalg.norm(xyz - evidence.smooth(xyz, FAST_S), axis=-1)
    return np.log1p(np.sqrt(evidence.smooth(off**2, SLOW_S)) / 0.003)


def _short(evidence: Evidence) -> Float64:
    """Log shortening of the bones between pelvis and joint, summed: a network shortens a limb of
    uncertain direction."""
    short = np.clip(np.log(evidence.bones_m / evidence.limbs_m), 0, 1.5)
    return np.stack([short[:, chain].sum(axis=1) for chain in _CHAINS], axis=1)


def _reprojection(evidence: Evidence) -> Float64:
    """Log reprojection error of the pose at its best root, in units of 3 % of body_px."""
    keypoints = evidence.keypoints
    size = np.array(keypoints.image_size)
    rays = pixels_to_rays(keypoints.xy.astype(np.float64), size, evidence.focal_px)
    weights = keypoints.confidence + 1e-6 * evidence.seen
    known = evidence.seen.any(axis=1)
    xyz = evidence.xyz.astype(np.float64)
    xyz[known] += linear_roots(xyz[known], rays[known], weights[known])[:, None]
    off = np.linalg.norm(xyz[..., :2] / np.maximum(xyz[..., 2:], NEAREST_M) - rays, axis=-1)
    share = off * evidence.seen * evidence.focal_px / evidence.body_px[:, None]
    return evidence.smooth(np.log1p(np.minimum(share, 5) / 0.03), SLOW_S)


def _far(evidence: Evidence) -> Float64:
    """Distance from the pelvis, m."""
    return np.linalg.norm(evidence.xyz.astype(np.float64), axis=-1)


def _lean(evidence: Evidence) -> Float64:
    """Inclination of the trunk: 0 upright, 1 upside down."""
    trunk = evidence.xyz[:, H36M17.index("thorax")].astype(np.float64)
    down = trunk[:, 1] / np.maximum(np.linalg.norm(trunk, axis=-1), 1e-3)
    return np.repeat((1 + down[:, None]) / 2, len(_PARENTS), axis=1)


def _behind(evidence: Evidence) -> Float64:
    """Depth behind the pelvis, m."""
    return np.clip(evidence.xyz[..., 2].astype(np.float64), 0, 1)


def _before(evidence: Evidence) -> Float64:
    """Depth in front of the pelvis, m."""
    return np.clip(-evidence.xyz[..., 2].astype(np.float64), 0, 1)


def _chain(joint: int) -> list[int]:
    """The joint and those between it and the pelvis; empty for the pelvis."""
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
"""Signals that need MIN_FRAMES and MIN_FPS."""
POSTURE = ("lean", "behind", "before")
"""Signals that do not indicate errors by themselves."""
