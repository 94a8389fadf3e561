"""Swaps planted in a real detector's keypoints are found to the frame, and none is invented."""

from dataclasses import replace

import numpy as np
import pytest

from model import H36M17, KeypointSequence, read_npz
from model.tracking.swaps import SwapRepair, exchange, undo_swaps
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
    xy, score = (exchange(v, swapped, H36M17) for v in (sequence.xy, sequence.confidence))
    return replace(sequence, xy=xy, confidence=score), swapped


def test_the_detectors_own_swaps() -> None:
    """MediaPipe takes the man's left for his right while he raises his arms, frames 3 to 14, and
    once the woman's legs."""
    man, woman = (undo_swaps(keypoints)[1] for keypoints in DETECTED)
    assert np.flatnonzero(man.any(axis=1)).tolist() == list(range(3, 15))
    assert man[4:15].all()
    assert np.argwhere(woman).tolist() == [[25, 0]]
    left, right = (PEOPLE[0].xy[:30, H36M17.index(f"{side}_wrist"), 0] for side in SIDES)
    assert (left > right).all()  # he faces the camera


@pytest.mark.parametrize("person", [0, 1])
def test_nothing_is_invented(person: int) -> None:
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
def test_planted_swaps_are_undone(
    kind: tuple[bool, bool], person: int, start: int, end: int
) -> None:
    """Single frames, spells, clips that begin swapped, clips that end so."""
    spoilt, planned = planted(PEOPLE[person], kind, start, end)
    repaired, swapped = undo_swaps(spoilt)
    np.testing.assert_array_equal(swapped, planned)
    np.testing.assert_array_equal(repaired.xy, PEOPLE[person].xy)
    np.testing.assert_array_equal(repaired.confidence, PEOPLE[person].confidence)


@pytest.mark.parametrize("kind", [LEGS, ARMS, ALL])
def test_a_stream_undoes_them_without_looking_ahead(kind: tuple[bool, bool]) -> None:
    spoilt, planned = planted(PEOPLE[0], kind, 20, 26)
    for cuts in ([], [7, 21, 23], list(range(1, 75))):
        repair, found = SwapRepair(H36M17), []
        for rows in np.split(np.arange(len(spoilt)), cuts):
            found.append(repair.push(spoilt.pick(rows))[1])
        np.testing.assert_array_equal(np.concatenate(found), planned)


def test_what_is_not_seen_says_nothing() -> None:
    spoilt, planned = planted(PEOPLE[0], LEGS, 20, 26)
    score = spoilt.confidence.copy()
    score[23] = 0
    score[5:12, H36M17.index("left_ankle")] = 0
    _, swapped = undo_swaps(replace(spoilt, confidence=score))
    seen = score.any(axis=1)
    np.testing.assert_array_equal(swapped[seen], planned[seen])
    nobody = replace(spoilt, confidence=np.zeros_like(score))
    assert not undo_swaps(nobody)[1].any()


def test_exchanged_twice_is_itself(rng: np.random.Generator) -> None:
    values = rng.normal(size=(5, 17, 2))
    swapped = rng.uniform(size=(5, 2)) < 0.5
    once = exchange(values, swapped, H36M17)
    np.testing.assert_array_equal(exchange(once, swapped, H36M17), values)
    mirror = list(H36M17.mirror)
    both = swapped.all(axis=1)
    np.testing.assert_array_equal(once[both], values[both][:, mirror])
