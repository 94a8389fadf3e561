"""The door: so many requests at once, and each is worked on while its client waits."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from starlette.types import Receive

from service.errors import Abandoned, NotReady, Overloaded

Result = TypeVar("Result")


class Door:
    """Room for `places` requests; whoever comes beyond that is sent away with Overloaded."""

    def __init__(self, name: str, *, places: int, retry_after_s: int):
        self._name = name
        self._places = places
        self._retry_after_s = retry_after_s
        self._inside = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """From before the body is received until the answer; raises Overloaded, and NotReady where
        the service stops meanwhile."""
        if self._inside >= self._places:
            raise Overloaded(
                f"{self._inside} {self._name} are under way, as many as may be; "
                f"try again in {self._retry_after_s} s",
                self._retry_after_s,
            )
        self._inside += 1
        try:
            with until_stopped():
                yield
        finally:
            self._inside -= 1


@contextmanager
def until_stopped() -> Iterator[None]:
    """Around a request, which the server cancels when it stops: raises NotReady then."""
    try:
        yield
    except asyncio.CancelledError:
        raise NotReady("the service is stopping; the work was not finished") from None


async def while_wanted(work: Coroutine[Any, Any, Result], receive: Receive) -> Result:
    """The result of `work`, which ends when the client leaves. The body was received before, so
    that its next message can only be that. Raises Abandoned, and NotReady where the service stops
    meanwhile."""
    working = asyncio.create_task(work)
    leaving = asyncio.ensure_future(receive())
    try:
        with until_stopped():
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise Abandoned("the client left before its answer")
            return await working
    finally:
        leaving.cancel()
        working.cancel()
