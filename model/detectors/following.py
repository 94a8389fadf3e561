"""Following people with single-person landmarkers, each in a square crop around the person.

Landmarkers are trained on people who fill the image; in a wide view they miss or lose distant
people and confuse left and right. So the whole image, and overlapping squares of it for people who
are small, are searched only now and then. Each person found gets a square and a landmarker of
their own, which follows them from frame to frame.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from math import ceil
from typing import Protocol

import numpy as np

from model.detectors.person import Person, distance, is_same
from model.keypoints.sequences import Float32, Image

SEARCH_EVERY_S = 0.3
LOST_AFTER_S = 0.5
SQUARE_SIZES = 1.6
"""Side of a person's square, in body sizes."""
OFF_CENTRE = 0.1
"""The square moves once the person is this share of its side off its centre: landmarkers expect a
still camera."""
GROWTH = 1.25
"""The square is also moved once the person's size has changed by this factor."""
SIZE_SMOOTHING = 0.2
MIN_SIDE_PX = 64
MAX_CUT_PX = 4096
"""Larger squares are subsampled: landmarkers read 224 px, and crash from 2 GB."""
DUPLICATE_DISTANCE = 0.2
"""Two landmarkers closer than this, in body sizes, follow the same person."""
WIDE = 1.2
"""Images of a higher aspect ratio are also searched in squares."""
MAX_SQUARES = 16
"""An image 1500 px wide and 1 px high would have 3000."""


class Landmarker(Protocol):
    """Detects people in a square image, px of that image, at rising times."""

    def __call__(self, image: Image, time_ms: int) -> list[Person]: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Square:
    """A square part of an image, px, black where it extends beyond the image. Of a large square,
    only every `step`-th row and column is cut."""

    left: int
    top: int
    side: int

    @staticmethod
    def around(person: Person, size: float) -> "Square":
        side = max(MIN_SIDE_PX, round(size * SQUARE_SIZES))
        x, y = person.middle()
        return Square(round(x - side / 2), round(y - side / 2), side)

    def middle(self) -> Float32:
        """(x, y) px."""
        return np.array([self.left, self.top], np.float32) + np.float32(self.side / 2)

    @property
    def step(self) -> int:
        return ceil(self.side / MAX_CUT_PX)

    def cut(self, image: Image) -> Image:
        side = ceil(self.side / self.step)
        part = np.zeros((side, side, 3), np.uint8)
        rows, rows_there = self._inside(self.top, image.shape[0])
        columns, columns_there = self._inside(self.left, image.shape[1])
        part[rows_there, columns_there] = image[rows, columns]
        return part

    def to_image(self, person: Person) -> Person:
        """From px of the cut to px of the image."""
        corner = np.array([self.left, self.top], np.float32)
        return Person(person.xy * np.float32(self.step) + corner, person.score)

    def _inside(self, start: int, size: int) -> tuple[slice, slice]:
        """Which of the image's `size` rows or columns are inside, and their place in the cut."""
        first = max(0, ceil(-start / self.step))
        begin = start + first * self.step
        lines = range(begin, max(begin, min(size, start + self.side)), self.step)
        return slice(lines.start, lines.stop, lines.step), slice(first, first + len(lines))


def search_squares(width: int, height: int) -> list[Square]:
    """The whole image and, if it is wide or tall, up to 16 squares that overlap by half."""
    short, long = sorted((width, height))
    whole = Square((width - long) // 2, (height - long) // 2, long)
    if long < WIDE * short:
        return [whole]
    count = min(MAX_SQUARES, ceil((long - short) / (short / 2)) + 1)
    starts = np.linspace(0, long - short, count).round().astype(int).tolist()
    if width >= height:
        return [whole, *(Square(start, 0, short) for start in starts)]
    return [whole, *(Square(0, start, short) for start in starts)]


class PeopleFollower:
    """Finds people and follows each in a square; one per video or stream.

    `search` detects up to `max_people` in unrelated images; `open_landmarker` returns a new
    landmarker that follows one person.
    """

    def __init__(
        self, search: Landmarker, open_landmarker: Callable[[], Landmarker], max_people: int
    ):
        self._search = search
        self._open_landmarker = open_landmarker
        self._max_people = max_people
        self._followed: list[_Followed] = []
        self._spare: list[Landmarker] = []
        self._squares: Iterator[Square] | None = None
        self._next_search_ms = 0
        self._shape: tuple[int, ...] = ()

    def detect(self, image: Image, time_ms: int) -> list[Person]:
        """The people in the next image (H, W, 3); one of another size is searched anew."""
        if image.shape != self._shape:
            self._drop(list(self._followed))
            for landmarker in self._spare:  # they remember what they saw at the other size
                landmarker.close()
            self._spare.clear()
            self._shape, self._squares, self._next_search_ms = image.shape, None, 0
        self._drop([f for f in self._followed if time_ms - f.seen_ms > LOST_AFTER_S * 1000])
        seen = [followed for followed in self._followed if followed.update(image, time_ms)]
        seen = self._without_duplicates(seen)
        if len(seen) < self._max_people and (time_ms >= self._next_search_ms or not seen):
            seen += self._find_more(image, time_ms, seen)
            self._next_search_ms = time_ms + round(SEARCH_EVERY_S * 1000)
        return [followed.person for followed in seen]

    def close(self) -> None:
        self._drop(list(self._followed))
        for landmarker in (*self._spare, self._search):
            landmarker.close()

    def _without_duplicates(self, seen: list["_Followed"]) -> list["_Followed"]:
        """Of two that follow the same person, the first stays."""
        kept: list[_Followed] = []
        for followed in seen:
            if all(distance(followed.person, k.person) > DUPLICATE_DISTANCE for k in kept):
                kept.append(followed)
            else:
                self._drop([followed])
        return kept

    def _find_more(
        self, image: Image, time_ms: int, seen: Sequence["_Followed"]
    ) -> list["_Followed"]:
        """Search for people other than those seen, and start following them."""
        new: list[_Followed] = []
        for square in self._squares_to_search(image):
            for person in self._search(square.cut(image), time_ms):
                others = [followed.person for followed in (*seen, *new)]
                if len(others) < self._max_people:
                    new += self._start(square.to_image(person), others, image, time_ms)
        return new

    def _squares_to_search(self, image: Image) -> list[Square]:
        """All squares of the first image; of later ones the whole image and one more square."""
        squares = search_squares(image.shape[1], image.shape[0])
        if self._squares is None:
            self._squares = cycle(squares[1:])
            return squares
        return [squares[0], *islice(self._squares, 1)]

    def _start(
        self, person: Person, others: Sequence[Person], image: Image, time_ms: int
    ) -> list["_Followed"]:
        """Follow a person who is new and whom a landmarker confirms in their square."""
        if any(is_same(person, other) for other in others):
            return []
        landmarker = self._spare.pop() if self._spare else self._open_landmarker()
        followed = _Followed(landmarker, person)
        is_confirmed = followed.update(image, time_ms)
        if not is_confirmed or any(is_same(followed.person, other) for other in others):
            self._spare.append(landmarker)
            return []
        self._drop_longest_lost()
        self._followed.append(followed)
        return [followed]

    def _drop_longest_lost(self) -> None:
        """Only at the limit of max_people."""
        if len(self._followed) == self._max_people:
            self._drop([min(self._followed, key=lambda followed: followed.seen_ms)])

    def _drop(self, lost: Sequence["_Followed"]) -> None:
        for followed in lost:
            self._followed.remove(followed)
            self._spare.append(followed.landmarker)


class _Followed:
    """One person, their landmarker and their square."""

    def __init__(self, landmarker: Landmarker, person: Person):
        self.landmarker = landmarker
        self.person = person
        self.seen_ms = 0
        self._size = person.size()
        self._square = Square.around(person, self._size)

    def update(self, image: Image, time_ms: int) -> bool:
        """Follow to the next image; whether the person is in it."""
        people = self.landmarker(self._square.cut(image), time_ms)
        if not people:
            return False
        person = self._square.to_image(people[0])
        if not _is_inside(person.middle(), image):
            return False
        self.person, self.seen_ms = person, time_ms
        self._size += SIZE_SMOOTHING * (self.person.size() - self._size)
        self._move()
        return True

    def _move(self) -> None:
        square = Square.around(self.person, self._size)
        off_px = np.abs(square.middle() - self._square.middle()).max()
        growth = square.side / self._square.side
        if off_px > OFF_CENTRE * self._square.side or not 1 / GROWTH < growth < GROWTH:
            self._square = square


def _is_inside(point: Float32, image: Image) -> bool:
    return bool((point >= 0).all() and (point < np.array(image.shape[1::-1])).all())
