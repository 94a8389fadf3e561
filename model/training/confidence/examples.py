"""Clips of simulated detections, lifted -> signals of trouble, and the errors beside them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.keypoints.skeleton import H36M17
from model.lifting.lifter import Lifter
from model.lifting.options import LiftOptions
from model.lifting.signals import Evidence, Float64, signals
from model.motion.metrics import joint_errors
from model.training.evaluation.errors import Clip, clips, has_clips
from model.training.recordings import Recordings
from model.training.simulation.simulate import Simulation

RATES = (25.0, 30.0, 50.0, 60.0)
"""Frames a second; each is that of a quarter of the clips."""
EVERY = 3
"""Of a clip every third frame counts: its neighbours say nearly the same."""


@dataclass(frozen=True)
class Examples:
    """N frames: signals (N, 17, S), error_mm (N, 17), the detector's score (N, 17), and whose
    frame each is (N,); bones_m (17,) are the true ones' medians, 1 for the pelvis."""

    signals: Float64
    error_mm: Float64
    score: Float64
    person: NDArray[np.str_]
    bones_m: Float64

    def of(self, rows: NDArray[np.bool_]) -> "Examples":
        """Some of the frames."""
        return Examples(
            self.signals[rows],
            self.error_mm[rows],
            self.score[rows],
            self.person[rows],
            self.bones_m,
        )


def filmed(recordings: Recordings, clips_a_person: int, seed: int = 1) -> list[Clip]:
    """Clips of everybody, spread evenly over each person's recordings, at all RATES; of nobody more
    than so many, lest one person be the average."""
    people: defaultdict[str, list[Clip]] = defaultdict(list)
    simulation = Simulation().for_evaluation()
    for index, fps in enumerate(RATES):
        some = recordings.select(range(index, len(recordings), len(RATES)))
        if has_clips(some, fps):
            for clip in clips(some, simulation, fps=fps, seed=seed + index):
                people[clip.person].append(clip)
    return [clip for mine in people.values() for clip in _thinned(mine, clips_a_person)]


def _thinned(mine: list[Clip], most: int) -> list[Clip]:
    rows = np.unique(np.linspace(0, len(mine) - 1, min(most, len(mine))).round().astype(int))
    return [mine[row] for row in rows]


def gather(lifter: Lifter, filmed: Iterable[Clip]) -> Examples:
    """Lift every clip the way users do, and look what there is to tell its errors by."""
    filmed = list(filmed)
    bones_m = true_bones_m(filmed)
    rows: list[tuple[Float64, ...]] = []
    for clip in tqdm(filmed, unit="clip", leave=False):
        xyz = lifter.lift(clip.keypoints, LiftOptions(focal_px=clip.focal_px)).xyz
        focal_px = clip.focal_px or max(clip.keypoints.image_size)
        found = signals(Evidence(clip.keypoints, xyz, bones_m, focal_px))
        columns = np.stack(list(found.values()), axis=-1)
        errors = joint_errors(xyz, clip.xyz)
        rows.append(tuple(part[::EVERY] for part in (columns, errors, clip.keypoints.confidence)))
    parts = [np.concatenate(part) for part in zip(*rows, strict=True)]
    person = np.repeat([clip.person for clip in filmed], [len(one[0]) for one in rows])
    return Examples(parts[0], parts[1], parts[2].astype(np.float64), person, bones_m)


def true_bones_m(filmed: Iterable[Clip]) -> Float64:
    """(17,): how long bones are at the canonical body size, the two sides alike."""
    parents = np.maximum(H36M17.parents, 0)
    lengths = np.concatenate(
        [np.linalg.norm(clip.xyz - clip.xyz[:, parents], axis=-1) for clip in filmed]
    )
    median = np.median(lengths, axis=0)
    median[H36M17.root] = 1
    return (median + median[list(H36M17.mirror)]) / 2
