"""Swaps planted in real detections are found to the frame, without false positives."""

from dataclasses import replace

import numpy as np
import pytest

from model import H36M17, KeypointSequence, read_npz
from model.tracking.swaps import SwapRepair, swap_sides, undo_swaps
from paths import DATA

REAL = read_npz(DATA / "two_people.npz")
DETECTED = [person.keypoints for person in REAL.people]
PEOPLE = [undo_swaps(keypoints)[0] for keypoints in DETECTED]
LEGS, ARMS, ALL = (True, False), (False, True), (True, True)
SIDES = ("left", "right")


def planted(
    sequence: KeypointSequence, kind: tuple[bool, bool], start: int, end: int
) -> tuple[KeypointSequence, np.ndarray]:
    swapped = np.zeros((len(sequence), 2), bool)
    swapped[start:end] = kind
    xy, score = (swap_sides(v, swapped, H36M17) for v in (sequence.xy, sequence.confidence))
    return replace(sequence, xy=xy, confidence=score), swapped


def test_swaps_of_the_detector_are_found() -> None:
    """MediaPipe swaps the man's sides while he raises his arms, frames 3 to 14, and the woman's
    legs once."""
    man, woman = (undo_swaps(keypoints)[1] for keypoints in DETECTED)
    assert np.flatnonzero(man.any(axis=1)).tolist() == list(range(3, 15))
    assert man[4:15].all()
    assert np.argwhere(woman).tolist() == [[25, 0]]
    left, right = (PEOPLE[0].xy[:30, H36M17.index(f"{side}_wrist"), 0] for side in SIDES)
    assert (left > right).all()  # he faces the camera


@pytest.mark.parametrize("person", [0, 1])
def test_sequence_without_swaps_is_returned_unchanged(person: int) -> None:
    sequence = PEOPLE[person]
    repaired, swapped = undo_swaps(sequence)
    assert not swapped.any()
    assert repaired is sequence
    assert not SwapRepair(H36M17).push(sequence)[1].any()


@pytest.mark.parametrize("kind", [LEGS, ARMS, ALL])
@pytest.mark.parametrize(
    ("person", "start", "end"),
    [(0, 30, 31), (0, 20, 32), (0, 0, 25), (1, 20, 32), (1, 0, 12), (1, 35, 42), (1, 40, 75)],
)
def test_planted_swaps_are_repaired_exactly(
    kind: tuple[bool, bool], person: int, start: int, end: int
) -> None:
    """Single frames, longer runs, and clips that begin or end swapped."""
    swapped_sequence, planned = planted(PEOPLE[person], kind, start, end)
    repaired, swapped = undo_swaps(swapped_sequence)
    np.testing.assert_array_equal(swapped, planned)
    np.testing.assert_array_equal(repaired.xy, PEOPLE[person].xy)
    np.testing.assert_array_equal(repaired.confidence, PEOPLE[person].confidence)


@pytest.mark.parametrize("kind", [LEGS, ARMS, ALL])
def test_stream_finds_planted_swaps_for_any_chunk_size(kind: tuple[bool, bool]) -> None:
    swapped_sequence, planned = planted(PEOPLE[0], kind, 20, 26)
    for cuts in ([], [7, 21, 23], list(range(1, 75))):
        repair, parts = SwapRepair(H36M17), []
        for rows in np.split(np.arange(len(swapped_sequence)), cuts):
            parts.append(repair.push(swapped_sequence.pick(rows))[1])
        np.testing.assert_array_equal(np.concatenate(parts), planned)


def test_unseen_joints_do_not_affect_swaps() -> None:
    swapped_sequence, planned = planted(PEOPLE[0], LEGS, 20, 26)
    score = swapped_sequence.confidence.copy()
    score[23] = 0
    score[5:12, H36M17.index("left_ankle")] = 0
    _, swapped = undo_swaps(replace(swapped_sequence, confidence=score))
    seen = score.any(axis=1)
    np.testing.assert_array_equal(swapped[seen], planned[seen])
    unseen = replace(swapped_sequence, confidence=np.zeros_like(score))
    assert not undo_swaps(unseen)[1].any()


def test_swap_sides_twice_is_the_identity_and_all_sides_is_the_mirror(
    rng: np.random.Generator,
) -> None:
    values = rng.normal(size=(5, 17, 2))
    swapped = rng.uniform(size=(5, 2)) < 0.5
    once = swap_sides(values, swapped, H36M17)
    np.testing.assert_array_equal(swap_sides(once, swapped, H36M17), values)
    mirror = list(H36M17.mirror)
    both = swapped.all(axis=1)
    np.testing.assert_array_equal(once[both], values[both][:, mirror])
