"""Low-pass filters over time for poses (T, J, 3), m; the number of frames stays the same.

Human movement is below about 6 Hz (Winter, "Biomechanics and Motor Control of Human Movement",
ch. 2); faster changes are mostly noise of the detector.
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
"""At this frequency the two offline filters pass 71 % of the amplitude (-3 dB)."""
MIN_FPS = {
    "butterworth": 2 * CUTOFF_HZ,
    "gaussian": 0.1 * 2 * pi * CUTOFF_HZ / sqrt(log(2)),  # a sigma of a tenth of a frame
}
"""At lower frame rates a filter leaves the poses as they are."""
BUTTERWORTH_ORDER = 2
ONE_EURO_MIN_CUTOFF_HZ = 1.5
ONE_EURO_SPEED_CUTOFF_HZ = 1.0
ONE_EURO_BETA = 4.0
"""Increase of the cut-off, Hz, for each m/s of a joint's speed."""


def smooth(poses: PoseSequence, kind: str) -> PoseSequence:
    """Filter one person's poses in successive frames by one of SMOOTHINGS; raises UnknownName.

    one_euro: causal, so it lags a little; butterworth: zero phase, the standard of gait
    laboratories; gaussian: zero phase, never overshoots.
    """
    if kind not in SMOOTHINGS:
        raise UnknownName("smoothing", kind, SMOOTHINGS)
    if kind == "none" or len(poses) < 2:
        return poses
    filters = {"one_euro": one_euro, "butterworth": butterworth, "gaussian": gaussian}
    return PoseSequence(filters[kind](poses.xyz, poses.fps), poses.fps, poses.skeleton)


def filters_at(kind: str, fps: float) -> bool:
    """Whether a filter changes anything at a frame rate; below MIN_FPS it does not."""
    return kind != "none" and fps > MIN_FPS.get(kind, 0)


def butterworth(xyz: Float32, fps: float, cutoff_hz: float = CUTOFF_HZ) -> Float32:
    """Second order, run forwards and backwards: zero phase. Unchanged if fps/2 <= cutoff_hz."""
    if fps <= 2 * cutoff_hz:
        return xyz
    # running it twice lowers the cut-off; this corrects it (Winter, ch. 2)
    correction = sqrt(sqrt(2) - 1) ** (1 / BUTTERWORTH_ORDER)
    once_hz = atan(tan(pi * cutoff_hz / fps) / correction) * fps / pi
    sections = butter(BUTTERWORTH_ORDER, once_hz, fs=fps, output="sos")
    padding = min(3 * (2 * len(sections) + 1), len(xyz) - 1)
    return sosfiltfilt(sections, xyz, axis=0, padlen=padding).astype(np.float32)


def gaussian(xyz: Float32, fps: float, cutoff_hz: float = CUTOFF_HZ) -> Float32:
    """Gaussian mean over time, with the first and last frame repeated beyond the ends."""
    sigma_frames = sqrt(log(2)) / (2 * pi * cutoff_hz) * fps
    if sigma_frames < 0.1:  # the neighbours' weights are below float32 precision
        return xyz
    smoothed = gaussian_filter1d(xyz.astype(np.float64), sigma_frames, axis=0, mode="nearest")
    return smoothed.astype(np.float32)


def one_euro(xyz: Float32, fps: float) -> Float32:
    """OneEuro over a whole sequence."""
    return OneEuro(fps).push(xyz)


class OneEuro:
    """Causal low-pass filter for a stream of poses; its cut-off rises with a joint's speed.

    Casiez, Roussel, Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in
    Interactive Systems", CHI 2012, algorithm 1, but with the speed of the joint instead of each
    coordinate, so that the result does not depend on the orientation of the axes.
    """

    def __init__(self, fps: float):
        self._fps = fps
        self._speed_weight = _weight(np.array(ONE_EURO_SPEED_CUTOFF_HZ), fps)
        self._previous: Float32 | None = None
        self._smoothed = self._velocity = np.zeros(())

    def push(self, xyz: Float32) -> Float32:
        """Filter the next poses (n, J, 3); the result does not depend on n."""
        smoothed = np.array(xyz, np.float64)
        for t, pose in enumerate(xyz):
            smoothed[t] = self._next(pose)
        return smoothed.astype(np.float32)

    def _next(self, pose: Float32) -> Float64:
        if self._previous is None:
            self._smoothed, self._velocity = pose.astype(np.float64), np.zeros(pose.shape)
        else:
            step = (pose - self._previous) * self._fps
            self._velocity = self._velocity + self._speed_weight * (step - self._velocity)
            speed = np.linalg.norm(self._velocity, axis=-1, keepdims=True)
            weight = _weight(ONE_EURO_MIN_CUTOFF_HZ + ONE_EURO_BETA * speed, self._fps)
            self._smoothed = self._smoothed + weight * (pose - self._smoothed)
        self._previous = pose
        return self._smoothed


def _weight(cutoff_hz: Float64, fps: float) -> Float64:
    """The weight of a new value in an exponential filter of that cut-off (alpha in the paper)."""
    return 1 / (1 + fps / (2 * pi * cutoff_hz))
