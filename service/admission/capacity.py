"""A limit on how much work of one kind runs at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import NotReady, Overloaded


class Capacity:
    """Admits work until `limit` pieces of it are running. Belongs to one event loop.

    `name` is the plural noun of the work, for messages; `retry_after_s` goes to rejected clients.
    """

    def __init__(self, name: str, *, limit: int, retry_after_s: int):
        self._name = name
        self._limit = limit
        self._retry_after_s = retry_after_s
        self._running: list[asyncio.Task[object]] = []
        self._stopping = False

    @property
    def running(self) -> int:
        return len(self._running)

    @contextmanager
    def enter(self, *, bypass_limit: bool = False) -> Iterator[None]:
        """Hold a place while the block runs. Raises Overloaded at the limit, and NotReady once
        `stop` was called, also in the middle of the block."""
        if self._stopping:
            raise NotReady("the service is stopping")
        if self.running >= self._limit and not bypass_limit:
            raise Overloaded(
                f"{self.running} {self._name} are under way, the most allowed; "
                f"try again in {self._retry_after_s} s",
                self._retry_after_s,
            )
        task = asyncio.current_task()
        assert task is not None
        self._running.append(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            task.uncancel()
            raise NotReady("the service is stopping; the work was not finished") from None
        finally:
            self._running.remove(task)

    def stop(self) -> None:
        """Admit no more work and cancel the tasks inside, which get NotReady."""
        self._stopping = True
        for task in self._running:
            task.cancel()
