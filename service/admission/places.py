"""The live streams under way: bounded, and told when the service stops."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import NotReady, Overloaded

RETRY_AFTER_S = 10


class Places:
    def __init__(self, name: str, most: int):
        self._name = name
        self._most = most
        self._taken: set[asyncio.Task[None]] = set()
        self._stopping = False

    @contextmanager
    def enter(self) -> Iterator[None]:
        """For as long as a stream lasts, in a task of its own; raises Overloaded, and NotReady when
        the service stops."""
        if self._stopping:
            raise NotReady("the service is stopping")
        if len(self._taken) >= self._most:
            raise Overloaded(
                f"{len(self._taken)} {self._name} are under way, as many as may be; "
                f"try again in {RETRY_AFTER_S} s",
                RETRY_AFTER_S,
            )
        task = asyncio.current_task()
        assert task is not None
        self._taken.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            task.uncancel()
            raise NotReady("the service is stopping; the stream ends here") from None
        finally:
            self._taken.discard(task)

    def stop(self) -> None:
        """End all streams, with a word to their clients."""
        self._stopping = True
        for task in self._taken:
            task.cancel()
