"""Simulated clips -> confidence signals of lifted joints, with their true errors."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.keypoints.sequences import Float64
from model.keypoints.skeleton import H36M17
from model.lifting.lifter import Lifter
from model.lifting.options import LiftOptions
from model.lifting.signals import Evidence, signals
from model.motion.metrics import joint_errors
from model.training.evaluation.errors import Clip, has_clips, simulated_clips
from model.training.recordings import Recordings
from model.training.simulation.windows import Simulation

RATES = (25.0, 30.0, 50.0, 60.0)
"""Frames/s, each for a quarter of the clips."""
EVERY = 3
"""Use every third frame: neighbouring frames are nearly equal."""


@dataclass(frozen=True)
class Examples:
    """N frames: signals (N, 17, S), error_mm (N, 17), the detector's score (N, 17) and the person's
    name (N,); bones_m (17,) are median true bone lengths, 1 for the pelvis."""

    signals: Float64
    error_mm: Float64
    score: Float64
    person: NDArray[np.str_]
    bones_m: Float64

    def of(self, rows: NDArray[np.bool_]) -> "Examples":
        """A subset of the frames."""
        return Examples(
            self.signals[rows],
            self.error_mm[rows],
            self.score[rows],
            self.person[rows],
            self.bones_m,
        )


def sample_clips(recordings: Recordings, clips_a_person: int, seed: int = 1) -> list[Clip]:
    """Up to `clips_a_person` clips of each person at all RATES, spread over their recordings; the
    limit keeps one person from dominating."""
    people: defaultdict[str, list[Clip]] = defaultdict(list)
    simulation = Simulation().for_evaluation()
    for index, fps in enumerate(RATES):
        some = recordings.select(range(index, len(recordings), len(RATES)))
        if has_clips(some, fps):
            for clip in simulated_clips(some, simulation, fps=fps, seed=seed + index):
                people[clip.person].append(clip)
    return [clip for some in people.values() for clip in _thinned(some, clips_a_person)]


def _thinned(clips: list[Clip], limit: int) -> list[Clip]:
    rows = np.unique(np.linspace(0, len(clips) - 1, min(limit, len(clips))).round().astype(int))
    return [clips[row] for row in rows]


def gather(lifter: Lifter, clips: Iterable[Clip]) -> Examples:
    """Lift every clip with default options; compute the signals and the errors."""
    clips = list(clips)
    bones_m = true_bones_m(clips)
    rows: list[tuple[Float64, ...]] = []
    for clip in tqdm(clips, unit="clip", leave=False):
        xyz = lifter.lift(clip.keypoints, LiftOptions(focal_px=clip.focal_px)).xyz
        focal_px = clip.focal_px or max(clip.keypoints.image_size)
        by_name = signals(Evidence(clip.keypoints, xyz, bones_m, focal_px))
        columns = np.stack(list(by_name.values()), axis=-1)
        errors = joint_errors(xyz, clip.xyz)
        rows.append(tuple(part[::EVERY] for part in (columns, errors, clip.keypoints.confidence)))
    parts = [np.concatenate(part) for part in zip(*rows, strict=True)]
    person = np.repeat([clip.person for clip in clips], [len(errors) for _, errors, _ in rows])
    return Examples(parts[0], parts[1], parts[2].astype(np.float64), person, bones_m)


def true_bones_m(clips: Iterable[Clip]) -> Float64:
    """Median bone lengths (17,) at the canonical body size, equal on both sides."""
    parents = np.maximum(H36M17.parents, 0)
    lengths = np.concatenate(
        [np.linalg.norm(clip.xyz - clip.xyz[:, parents], axis=-1) for clip in clips]
    )
    median = np.median(lengths, axis=0)
    median[H36M17.root] = 1
    return (median + median[list(H36M17.mirror)]) / 2
