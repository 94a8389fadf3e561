"""Looking closely at people: each found once, then followed in a square of their own.

Single-person landmarkers are made for a person who fills the picture; in a wide view they miss
people who stand farther away, lose them, and take left for right. So the whole picture is searched
now and then only, also in overlapping squares for those who are small in it; everybody found gets
a square around them, and a landmarker of their own that follows them there from frame to frame.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from math import ceil
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.detectors.person import Person, distance, is_same
from model.keypoints.sequences import Float32

Picture = NDArray[np.uint8]

SEARCH_EVERY_S = 0.3
LOST_AFTER_S = 0.5
SQUARE_SIZES = 1.6
"""Side of a person's square, in body sizes."""
OFF_MIDDLE = 0.1
"""The square stays where it is until the person is this share of its side off its middle, because a
landmarker that follows someone expects a picture that does not move."""
GROWTH = 1.25
"""Or until the person's size has changed by this factor."""
SIZE_SMOOTHING = 0.2
MIN_SIDE_PX = 64
MAX_CUT_PX = 4096
"""A larger square is thinned out: landmarkers see 224 px of it, and from 2 GB on they crash."""
DOUBLE_DISTANCE = 0.2
"""Two who are nearer to each other than this, in body sizes, follow the same person."""
WIDE = 1.2
"""Pictures longer than this in one direction are also searched in squares."""
MAX_SQUARES = 16
"""A picture 1500 px wide and 1 px high would have 3000."""


class Look(Protocol):
    """Finds people in a square picture, px of that picture; time runs forward."""

    def __call__(self, picture: Picture, time_ms: int) -> list[Person]: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Square:
    """A square part of a picture, px; it may reach beyond it, where all is black. Of a large one
    every `step`-th row and column is cut."""

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

    def cut(self, image: Picture) -> Picture:
        side = ceil(self.side / self.step)
        part = np.zeros((side, side, 3), np.uint8)
        rows, rows_there = self._inside(self.top, image.shape[0])
        columns, columns_there = self._inside(self.left, image.shape[1])
        part[rows_there, columns_there] = image[rows, columns]
        return part

    def to_image(self, person: Person) -> Person:
        """From px of what was cut."""
        corner = np.array([self.left, self.top], np.float32)
        return Person(person.xy * np.float32(self.step) + corner, person.score)

    def _inside(self, start: int, size: int) -> tuple[slice, slice]:
        """Which of a picture's `size` rows or columns are in it, and where they lie in the cut."""
        first = max(0, ceil(-start / self.step))
        begin = start + first * self.step
        taken = range(begin, max(begin, min(size, start + self.side)), self.step)
        return slice(taken.start, taken.stop, taken.step), slice(first, first + len(taken))


def search_squares(width: int, height: int) -> list[Square]:
    """The whole picture, then, if it is wide or tall, squares across it that overlap by half,
    at most 16."""
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
    """Finds people and follows each closely; one for each video or stream.

    `search` finds up to `max_people` in a square that it has never seen before; `open_look` gives
    a new landmarker that follows one person.
    """

    def __init__(self, search: Look, open_look: Callable[[], Look], max_people: int):
        self._search = search
        self._open_look = open_look
        self._max_people = max_people
        self._followed: list[_Followed] = []
        self._spare: list[Look] = []
        self._squares: Iterator[Square] | None = None
        self._next_search_ms = 0

    def detect(self, image: Picture, time_ms: int) -> list[Person]:
        """The people in the next picture (H, W, 3)."""
        self._drop([f for f in self._followed if time_ms - f.seen_ms > LOST_AFTER_S * 1000])
        seen = [followed for followed in self._followed if followed.see(image, time_ms)]
        seen = self._without_doubles(seen)
        if len(seen) < self._max_people and (time_ms >= self._next_search_ms or not seen):
            seen += self._find_more(image, time_ms, seen)
            self._next_search_ms = time_ms + round(SEARCH_EVERY_S * 1000)
        return [followed.person for followed in seen]

    def close(self) -> None:
        self._drop(list(self._followed))
        for look in (*self._spare, self._search):
            look.close()

    def _without_doubles(self, seen: list["_Followed"]) -> list["_Followed"]:
        """Where two came to follow one person, the first keeps them."""
        kept: list[_Followed] = []
        for followed in seen:
            if all(distance(followed.person, k.person) > DOUBLE_DISTANCE for k in kept):
                kept.append(followed)
            else:
                self._drop([followed])
        return kept

    def _find_more(
        self, image: Picture, time_ms: int, seen: Sequence["_Followed"]
    ) -> list["_Followed"]:
        """Start to follow those whom a search finds beside the people seen."""
        new: list[_Followed] = []
        for square in self._due(image):
            for found in self._search(square.cut(image), time_ms):
                others = [followed.person for followed in (*seen, *new)]
                if len(others) < self._max_people:
                    new += self._start(square.to_image(found), others, image, time_ms)
        return new

    def _due(self, image: Picture) -> list[Square]:
        """All squares on the first picture, then the whole picture and one more each time."""
        squares = search_squares(image.shape[1], image.shape[0])
        if self._squares is None:
            self._squares = cycle(squares[1:])
            return squares
        return [squares[0], *islice(self._squares, 1)]

    def _start(
        self, found: Person, others: Sequence[Person], image: Picture, time_ms: int
    ) -> list["_Followed"]:
        """Follow someone found, if they are new and a closer look sees them, too."""
        if any(is_same(found, other) for other in others):
            return []
        followed = _Followed(self._spare.pop() if self._spare else self._open_look(), found)
        there = followed.see(image, time_ms)
        if not there or any(is_same(followed.person, other) for other in others):
            self._spare.append(followed.look)
            return []
        self._make_room()
        self._followed.append(followed)
        return [followed]

    def _make_room(self) -> None:
        """Let go of who is lost for longest, when all places are taken."""
        if len(self._followed) == self._max_people:
            self._drop([min(self._followed, key=lambda followed: followed.seen_ms)])

    def _drop(self, gone: Sequence["_Followed"]) -> None:
        for followed in gone:
            self._followed.remove(followed)
            self._spare.append(followed.look)


class _Followed:
    """One person, and the square in which a landmarker of their own follows them."""

    def __init__(self, look: Look, person: Person):
        self.look = look
        self.person = person
        self.seen_ms = 0
        self._size = person.size()
        self._square = Square.around(person, self._size)

    def see(self, image: Picture, time_ms: int) -> bool:
        """Look at the next picture; whether the person is in it."""
        found = [self._square.to_image(p) for p in self.look(self._square.cut(image), time_ms)]
        if not found or not _is_inside(found[0].middle(), image):
            return False
        self.person, self.seen_ms = found[0], time_ms
        self._size += SIZE_SMOOTHING * (self.person.size() - self._size)
        self._move()
        return True

    def _move(self) -> None:
        wanted = Square.around(self.person, self._size)
        off_px = np.abs(wanted.middle() - self._square.middle()).max()
        growth = wanted.side / self._square.side
        if off_px > OFF_MIDDLE * self._square.side or not 1 / GROWTH < growth < GROWTH:
            self._square = wanted


def _is_inside(point: Float32, image: Picture) -> bool:
    return bool((point >= 0).all() and (point < np.array(image.shape[1::-1])).all())
