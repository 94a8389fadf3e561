"""A few items ahead, in a thread that always ends."""

import threading
from collections.abc import Iterator

import pytest

from model.video.read_ahead import read_ahead


def counted(made: list[int], count: int = 100) -> Iterator[int]:
    for item in range(1, count + 1):
        made.append(item)
        yield item


def assert_no_thread_left() -> None:
    assert [t for t in threading.enumerate() if t.name.startswith("read-ahead")] == []


def test_the_same_items_in_the_same_order() -> None:
    for count in (0, 1, 2, 50):
        with read_ahead(counted([], count), 2) as items:
            assert list(items) == list(range(1, count + 1))


def test_no_more_are_made_than_may_lie_ready() -> None:
    made: list[int] = []
    with read_ahead(counted(made), 2) as items:
        for item in items:
            assert len(made) <= item + 2
            if item == 20:
                break
    assert len(made) <= 22
    assert_no_thread_left()


def test_what_making_raises_comes_in_its_turn() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise OSError("torn")

    with read_ahead(failing(), 3) as items:
        assert next(items) == 1
        with pytest.raises(OSError, match="torn"):
            next(items)
    assert_no_thread_left()


def test_making_is_over_before_the_context_ends() -> None:
    """Whatever the items are made from may then be closed."""
    begun, go = threading.Event(), threading.Event()
    ended = []

    def slow() -> Iterator[int]:
        begun.set()
        go.wait()
        ended.append(True)
        yield 1

    with read_ahead(slow(), 2):
        begun.wait()
        threading.Timer(0.05, go.set).start()
    assert ended == [True]
