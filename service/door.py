"""The door to the worker threads: bounded, and closed behind a client who left."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from starlette.types import Receive

from service.errors import Abandoned, NotReady, Overloaded

Result = TypeVar("Result")


class Visit:
    """Says, to a thread at work, whether anybody still waits for what it does."""

    def __init__(self) -> None:
        self._left = threading.Event()

    def leave(self) -> None:
        self._left.set()

    def check(self) -> None:
        """Raises Abandoned once the client has left; long work calls it now and then."""
        if self._left.is_set():
            raise Abandoned("the client left before its answer")


class Door:
    """At most `at_once` requests are worked on, and `waiting` more may send or wait; whoever comes
    beyond that is sent away with Overloaded."""

    def __init__(self, name: str, *, at_once: int, waiting: int, retry_after_s: int):
        self._name = name
        self._room = at_once + waiting
        self._retry_after_s = retry_after_s
        self._inside = 0
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=name)

    @contextmanager
    def enter(self) -> Iterator[None]:
        """From before the body is received until the answer; raises Overloaded."""
        if self._inside >= self._room:
            raise Overloaded(
                f"{self._inside} {self._name} are under way, as many as may be; "
                f"try again in {self._retry_after_s} s",
                self._retry_after_s,
            )
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def run(self, work: Callable[[Visit], Result], receive: Receive) -> Result:
        """Blocking work in a thread, in turn. The body was received before, so that the client's
        next message can only be its leaving: then waiting ends, and begun work is told."""
        visit = Visit()
        turn = asyncio.get_running_loop().run_in_executor(self._threads, work, visit)
        watch = asyncio.create_task(_watch(receive, visit, turn))
        try:
            return await turn
        except asyncio.CancelledError:
            visit.check()
            raise NotReady("the service is stopping; the work was not finished") from None
        finally:
            visit.leave()
            watch.cancel()


async def _watch(receive: Receive, visit: Visit, turn: asyncio.Future[Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    visit.leave()
    # a thread cannot be stopped: it keeps its place until it has noticed
    turn.cancel()
