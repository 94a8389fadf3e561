"""Requests that end before their response: the service stops, or the client disconnects."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from starlette.types import Receive

from service.errors import Abandoned, NotReady

Result = TypeVar("Result")


@contextmanager
def not_ready_on_cancel() -> Iterator[None]:
    """Raises NotReady if the task is cancelled, which the server does to requests when it stops."""
    try:
        yield
    except asyncio.CancelledError:
        raise NotReady("the service is stopping; the work was not finished") from None


async def run_while_connected(work: Coroutine[Any, Any, Result], receive: Receive) -> Result:
    """The result of `work`. The request body must have been received, so that the next message
    from the client can only be its disconnect. Raises Abandoned if the client disconnects, NotReady
    if the service stops."""
    working = asyncio.create_task(work)
    leaving = asyncio.ensure_future(receive())
    try:
        with not_ready_on_cancel():
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise Abandoned("the client disconnected before the response")
            return await working
    finally:
        leaving.cancel()
        working.cancel()
