"""Effect of each filter on lifted poses: error, speed error, jitter and lag.

    .venv/bin/python benchmarks/filters.py RECORDINGS.npz [--every 10]

Clips of 100 frames at 50 Hz, with simulated cameras and detections, are lifted by the shipped
model. Jitter is the median change of a joint's velocity between frames; lag is the time shift that
brings the filtered poses closest to the unfiltered ones.
"""

import argparse
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize_scalar

from model import Lifter, LiftOptions, PoseSequence, model_named, weights_folder
from model.motion.limbs import constant_limbs
from model.motion.metrics import mpjpe, mpjve
from model.motion.smoothing import butterworth, gaussian, one_euro
from model.training.evaluation.errors import Clip, simulated_clips
from model.training.recordings import load_recordings
from model.training.simulation.windows import evaluation_conditions

FPS = 50.0
CONDITION = "simulated detections"
MAX_LAG_FRAMES = 5

Poses = NDArray[np.float32]
Filter = Callable[[Poses, float], Poses]


def _unfiltered(xyz: Poses, fps: float) -> Poses:
    return xyz


def _limbs_after(filter: Filter, xyz: Poses, fps: float) -> Poses:
    return constant_limbs(PoseSequence(filter(xyz, fps), fps)).xyz


def filters() -> dict[str, Filter]:
    """Name -> filter; 6 Hz is the default cut-off."""
    named: dict[str, Filter] = {"none": _unfiltered, "one_euro": one_euro}
    for cutoff_hz in (3.0, 4.0, 6.0, 8.0, 10.0):
        named[f"butterworth {cutoff_hz:g} Hz"] = partial(butterworth, cutoff_hz=cutoff_hz)
    for cutoff_hz in (4.0, 6.0, 8.0):
        named[f"gaussian {cutoff_hz:g} Hz"] = partial(gaussian, cutoff_hz=cutoff_hz)
    named["constant limbs"] = partial(_limbs_after, _unfiltered)
    named["butterworth 6 Hz, constant limbs"] = partial(_limbs_after, butterworth)
    return named


def jitter_m_s(xyz: NDArray[np.floating]) -> float:
    """Median change of velocity between frames."""
    return float(np.median(np.linalg.norm(np.diff(xyz[:, 1:], n=2, axis=0), axis=-1)) * FPS)


def lag_s(filtered: Poses, unfiltered: Poses) -> float:
    """Positive if the filter delays."""
    inside = np.arange(MAX_LAG_FRAMES, len(filtered) - MAX_LAG_FRAMES)
    curve = CubicSpline(np.arange(len(filtered)), filtered, axis=0)

    def distance(shift: float) -> float:
        return float(np.mean((curve(inside + shift) - unfiltered[inside]) ** 2))

    bounds = (-MAX_LAG_FRAMES, MAX_LAG_FRAMES)
    return float(minimize_scalar(distance, bounds=bounds, method="bounded").x / FPS)


def measure(clip: Clip, poses: PoseSequence, filter: Filter) -> tuple[float, ...]:
    """MPJPE mm, MPJVE mm/s, jitter mm/s and lag ms of one filter on one clip."""
    filtered = filter(poses.xyz, FPS)
    return (
        mpjpe(filtered, clip.xyz),
        mpjve(filtered, clip.xyz, FPS),
        1000 * jitter_m_s(filtered),
        1000 * lag_s(filtered, poses.xyz),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--every", type=int, default=10, help="lift every n-th clip only (10)")
    options = parser.parse_args()
    lifter = Lifter.load(model_named("poseformer-27", weights_folder()))
    people: dict[str, list[list[tuple[float, ...]]]] = {}
    simulation = evaluation_conditions()[CONDITION]
    clips = simulated_clips(load_recordings([options.recordings]), simulation, fps=FPS)
    for clip in islice(clips, 0, None, options.every):
        poses = lifter.lift(clip.keypoints, LiftOptions(focal_px=clip.focal_px))
        rows = [measure(clip, poses, filter) for filter in filters().values()]
        rows.append((0.0, 0.0, 1000 * jitter_m_s(clip.xyz), 0.0))
        people.setdefault(clip.person, []).append(rows)
    by_person = np.mean([np.mean(rows, axis=0) for rows in people.values()], axis=0)
    names = [*filters(), "the true motion"]
    count = sum(map(len, people.values()))
    print(f"{count} clips of {len(people)} people\n")
    print("| filter | MPJPE, mm | MPJVE, mm/s | jitter, mm/s | lag, ms |\n|---|---|---|---|---|")
    for name, (error, speed, jitter, lag) in zip(names, by_person, strict=True):
        print(f"| {name} | {error:.1f} | {speed:.0f} | {jitter:.1f} | {round(lag) + 0} |")


if __name__ == "__main__":
    main()
