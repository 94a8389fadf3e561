"""Reading ahead in a thread: order, bound, exceptions, and that the thread ends."""

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


def test_read_ahead_keeps_items_and_order() -> None:
    for count in (0, 1, 2, 50):
        with read_ahead(counted([], count), 2) as items:
            assert list(items) == list(range(1, count + 1))


def test_read_ahead_produces_at_most_count_in_advance() -> None:
    made: list[int] = []
    with read_ahead(counted(made), 2) as items:
        for item in items:
            assert len(made) <= item + 2
            if item == 20:
                break
    assert len(made) <= 22
    assert_no_thread_left()


def test_exceptions_are_raised_at_their_turn() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise OSError("torn")

    with read_ahead(failing(), 3) as items:
        assert next(items) == 1
        with pytest.raises(OSError, match="torn"):
            next(items)
    assert_no_thread_left()


def test_thread_has_ended_when_the_context_ends() -> None:
    """So that the source of the items can be closed."""
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
