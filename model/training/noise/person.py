"""One person's track, with its swaps undone and what a smooth curve through it leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.keypoints.joint_sets import COCO17
from model.training.noise.fast_error import OUTLIER, residuals, spread, window_frames
from model.training.noise.swaps import Spell, spells, swap_path, unswapped
from model.training.noise.tracks import Float64, Track

KINDS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist", "ear", "eye", "nose")
BURST = 3.0
"""Spreads of a joint (slow and white) beyond which its error is a burst."""

_KIND = np.array([KINDS.index(name.split("_")[-1]) for name in COCO17.joints])


@dataclass(frozen=True)
class PersonErrors:
    """errors (N, 17, 2) in shares of the body's height, signed, with score (N, 17) and frames (N,)
    of the same rows; swapped (T, 2) says in which frames of the track legs and arms are exchanged.
    """

    track: Track
    swapped: NDArray[np.bool_]
    errors: Float64
    score: Float64
    frames: NDArray[np.int64]

    @staticmethod
    def of(track: Track) -> "PersonErrors":
        """Raises InvalidInput where the person is never seen for as long as the filter is."""
        swapped = swap_path(track)
        xy, score = unswapped(track, swapped)
        xy = xy / track.height_px[:, None, None]
        half = window_frames(track.fps) // 2
        runs = [run for run in track.runs if run.stop - run.start > 2 * half]
        if not runs:
            raise InvalidInput(
                f"{track.clip}: person {track.person} is never seen for {2 * half + 1} frames in "
                "a row; a longer clip is needed"
            )
        inner = np.concatenate([np.arange(run.start + half, run.stop - half) for run in runs])
        errors = np.concatenate([residuals(xy[run], track.fps) for run in runs])
        return PersonErrors(track, swapped, errors, score[inner], track.frames[inner])

    @cached_property
    def spread(self) -> float:
        return max(spread(self.errors), 1e-9)

    @cached_property
    def joint_spreads(self) -> Float64:
        """(K,) of KINDS."""
        spreads = [spread(self.errors[:, kind == _KIND]) for kind in range(len(KINDS))]
        return np.maximum(spreads, 1e-9)

    @cached_property
    def spells(self) -> list[Spell]:
        return spells(self.swapped)

    def in_spreads(self) -> Float64:
        """Errors (N, 34), each coordinate in its own spread."""
        flat = self.errors.reshape(len(self.errors), -1)
        return flat / np.maximum([spread(column) for column in flat.T], 1e-9)

    def burst_sizes(self, passed: float) -> Float64:
        """(N, 17): errors in spreads of their kind where noise does not reach, else 0; `passed` is
        the share of a spread that the filter lets through."""
        sizes = np.linalg.norm(self.errors, axis=-1) / (self.joint_spreads[_KIND] / passed)
        return np.where(sizes > max(BURST, OUTLIER * passed), sizes, 0.0)


def people_of(tracks: Sequence[Track]) -> tuple[PersonErrors, ...]:
    """Those tracks that are long enough; raises InvalidInput where none is."""
    people: list[PersonErrors] = []
    refused = InvalidInput("noise is fitted to people, and none is given")
    for track in tracks:
        try:
            people.append(PersonErrors.of(track))
        except InvalidInput as error:
            refused = error
    if not people:
        raise refused
    return tuple(people)
