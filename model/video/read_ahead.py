"""Items made in a thread of their own, a few ahead of whoever takes them."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def read_ahead(items: Iterator[Item], count: int) -> Iterator[Iterator[Item]]:
    """The same items in the same order, `count` of them made or being made before they are taken.

    What making one raises is raised where it would be taken. The thread is gone when the context
    ends, which waits for the item that is being made, and makes no more.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as thread:
        ahead = deque(thread.submit(next, items, None) for _ in range(count))

        def taken() -> Iterator[Item]:
            while (item := ahead.popleft().result()) is not None:
                ahead.append(thread.submit(next, items, None))
                yield item

        try:
            yield taken()
        finally:
            thread.shutdown(wait=False, cancel_futures=True)
