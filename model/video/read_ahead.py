"""Items produced in a background thread, a few ahead of their consumer."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def read_ahead(items: Iterator[Item], count: int) -> Iterator[Iterator[Item]]:
    """The same items in the same order, at most `count` of them produced in advance.

    An exception of `items` is raised at the item's turn. On leaving the context the thread has
    ended: it finishes the item in progress and produces no more.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as thread:
        ahead = deque(thread.submit(next, items, None) for _ in range(count))

        def consume() -> Iterator[Item]:
            while (item := ahead.popleft().result()) is not None:
                ahead.append(thread.submit(next, items, None))
                yield item

        try:
            yield consume()
        finally:
            thread.shutdown(wait=False, cancel_futures=True)
