"""One person's detection errors: the residuals of a smoothed track, after repair of swaps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.keypoints.joint_sets import COCO17
from model.training.noise.fast_error import OUTLIER, residuals, spread, window_frames
from model.training.noise.swaps import SwapInterval, swap_intervals, swap_path, unswapped
from model.training.noise.tracks import Float64, Track

KINDS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist", "ear", "eye", "nose")
BURST = 3.0
"""An error above this many spreads (slow and white part) of its joint is a burst."""

_KIND = np.array([KINDS.index(name.split("_")[-1]) for name in COCO17.joints])


@dataclass(frozen=True)
class PersonErrors:
    """errors (N, 17, 2), signed, in shares of the body's height, with score (N, 17) and frames
    (N,); swapped (T, 2): whether legs and arms are swapped in each frame of the track."""

    track: Track
    swapped: NDArray[np.bool_]
    errors: Float64
    score: Float64
    frames: NDArray[np.int64]

    @staticmethod
    def of(track: Track) -> "PersonErrors":
        """Raises InvalidInput if no run of consecutive frames is as long as the filter."""
        swapped = swap_path(track)
        xy, score = unswapped(track, swapped)
        xy = xy / track.height_px[:, None, None]
        half = window_frames(track.fps) // 2
        runs = [run for run in track.runs if run.stop - run.start > 2 * half]
        if not runs:
            raise InvalidInput(
                f"{track.clip}: person {track.person} is not detected in {2 * half + 1} "
                "consecutive frames; use a longer video"
            )
        inner = np.concatenate([np.arange(run.start + half, run.stop - half) for run in runs])
        errors = np.concatenate([residuals(xy[run], track.fps) for run in runs])
        return PersonErrors(track, swapped, errors, score[inner], track.frames[inner])

    @cached_property
    def spread(self) -> float:
        return max(spread(self.errors), 1e-9)

    @cached_property
    def joint_spreads(self) -> Float64:
        """(K,), by KINDS."""
        spreads = [spread(self.errors[:, kind == _KIND]) for kind in range(len(KINDS))]
        return np.maximum(spreads, 1e-9)

    @cached_property
    def swaps(self) -> list[SwapInterval]:
        return swap_intervals(self.swapped)

    def in_spreads(self) -> Float64:
        """Errors (N, 34), each coordinate divided by its spread."""
        flat = self.errors.reshape(len(self.errors), -1)
        return flat / np.maximum([spread(column) for column in flat.T], 1e-9)

    def burst_sizes(self, passed: float) -> Float64:
        """(N, 17): errors of bursts in spreads of their kind, else 0; `passed` is the share of a
        spread that passes the filter."""
        sizes = np.linalg.norm(self.errors, axis=-1) / (self.joint_spreads[_KIND] / passed)
        return np.where(sizes > max(BURST, OUTLIER * passed), sizes, 0.0)


def people_of(tracks: Sequence[Track]) -> tuple[PersonErrors, ...]:
    """The errors of all tracks that are long enough. Raises InvalidInput if none is."""
    people: list[PersonErrors] = []
    rejected = InvalidInput("no tracks to fit noise to")
    for track in tracks:
        try:
            people.append(PersonErrors.of(track))
        except InvalidInput as error:
            rejected = error
    if not people:
        raise rejected
    return tuple(people)
