"""Filters over time for poses; each leaves a sequence as long as it was.

All three are set to the same purpose: human movement lies below about 6 Hz (Winter, "Biomechanics
and Motor Control of Human Movement", ch. 2), what is faster is mostly the detector's noise.
"""

from math import atan, log, pi, sqrt, tan

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, sosfiltfilt

from model.errors import UnknownName
from model.keypoints.sequences import Float32, PoseSequence

Float64 = NDArray[np.float64]

SMOOTHINGS = ("none", "one_euro", "butterworth", "gaussian")
CAUSAL_SMOOTHINGS = ("none", "one_euro")
"""Those that need no later frames."""

CUTOFF_HZ = 6.0
"""Where the offline filters let 71 % of the amplitude pass."""
BUTTERWORTH_ORDER = 2
ONE_EURO_MIN_CUTOFF_HZ = 1.5
ONE_EURO_SPEED_CUTOFF_HZ = 1.0
ONE_EURO_BETA = 4.0
"""Hz of cut-off for each m/s of a joint."""


def smooth(poses: PoseSequence, kind: str) -> PoseSequence:
    """Filter poses over time; for one person's frames without gaps.

    none; one_euro: looks at the past only, so it lags a little; butterworth: zero phase, the
    standard of gait laboratories; gaussian: zero phase, never overshoots. Raises UnknownName.
    """
    if kind not in SMOOTHINGS:
        raise UnknownName("smoothing", kind, SMOOTHINGS)
    if kind == "none" or len(poses) < 2:
        return poses
    filters = {"one_euro": one_euro, "butterworth": butterworth, "gaussian": gaussian}
    return PoseSequence(filters[kind](poses.xyz, poses.fps), poses.fps, poses.skeleton)


def butterworth(xyz: Float32, fps: float, cutoff_hz: float = CUTOFF_HZ) -> Float32:
    """Second order, forwards and backwards: zero phase. xyz (T, J, 3)."""
    if fps / 2 <= cutoff_hz:
        return xyz
    # running twice lowers the cut-off; this puts it back (also Winter)
    correction = sqrt(sqrt(2) - 1) ** (1 / BUTTERWORTH_ORDER)
    once_hz = atan(tan(pi * cutoff_hz / fps) / correction) * fps / pi
    sections = butter(BUTTERWORTH_ORDER, once_hz, fs=fps, output="sos")
    padding = min(3 * (2 * len(sections) + 1), len(xyz) - 1)
    return sosfiltfilt(sections, xyz, axis=0, padlen=padding).astype(np.float32)


def gaussian(xyz: Float32, fps: float, cutoff_hz: float = CUTOFF_HZ) -> Float32:
    """A bell-shaped mean over time; the ends are repeated. xyz (T, J, 3)."""
    sigma_frames = sqrt(log(2)) / (2 * pi * cutoff_hz) * fps
    if sigma_frames < 0.1:  # the neighbours weigh less than float32 can tell
        return xyz
    smoothed = gaussian_filter1d(xyz.astype(np.float64), sigma_frames, axis=0, mode="nearest")
    return smoothed.astype(np.float32)


def one_euro(xyz: Float32, fps: float) -> Float32:
    """OneEuro over a whole sequence. xyz (T, J, 3)."""
    return OneEuro(fps).push(xyz)


class OneEuro:
    """Low-pass whose cut-off rises with a joint's speed, for poses as they arrive.

    Casiez, Roussel, Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in
    Interactive Systems", CHI 2012, algorithm 1; the speed is that of the joint, not of each axis,
    so that the answer does not depend on how the camera's axes lie.
    """

    def __init__(self, fps: float):
        self._fps = fps
        self._speed_share = _share(np.array(ONE_EURO_SPEED_CUTOFF_HZ), fps)
        self._before: Float32 | None = None
        self._smoothed = self._velocity = np.zeros(())

    def push(self, xyz: Float32) -> Float32:
        """The next poses (n, J, 3), filtered: the same however a sequence is cut."""
        smoothed = np.array(xyz, np.float64)
        for t, pose in enumerate(xyz):
            smoothed[t] = self._next(pose)
        return smoothed.astype(np.float32)

    def _next(self, pose: Float32) -> Float64:
        if self._before is None:
            self._smoothed, self._velocity = pose.astype(np.float64), np.zeros(pose.shape)
        else:
            step = (pose - self._before) * self._fps
            self._velocity = self._velocity + self._speed_share * (step - self._velocity)
            speed = np.linalg.norm(self._velocity, axis=-1, keepdims=True)
            now = _share(ONE_EURO_MIN_CUTOFF_HZ + ONE_EURO_BETA * speed, self._fps)
            self._smoothed = self._smoothed + now * (pose - self._smoothed)
        self._before = pose
        return self._smoothed


def _share(cutoff_hz: Float64, fps: float) -> Float64:
    """How much of a new value an exponential filter of that cut-off takes."""
    return 1 / (1 + fps / (2 * pi * cutoff_hz))
