"""A bounded queue of messages to a live client that may read slowly."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable


class Outbox:
    """Holds at most `size` messages. `put` waits while it is full; with `on_drop`, it first drops
    the oldest provisional message and calls `on_drop`. Final messages are never dropped."""

    def __init__(self, size: int, on_drop: Callable[[], None] | None = None):
        self._size = size
        self._on_drop = on_drop
        self._messages: deque[tuple[str, bool]] = deque()  # (text, provisional)
        self._ended = False
        self._failure: Exception | None = None
        self._changed = asyncio.Event()

    async def put(self, text: str, *, provisional: bool = False) -> None:
        """Raises what `send` raised in `drain`."""
        if self._is_full():
            await asyncio.sleep(0)  # a client that reads empties the queue first
        if self._on_drop and self._is_full():
            dropped = self._drop_oldest()
            if dropped or provisional:
                self._on_drop()
            if provisional and not dropped:
                return
        await self._until(lambda: not self._is_full() or self._failure is not None)
        if self._failure is not None:
            raise self._failure
        self._messages.append((text, provisional))
        self._changed.set()

    def end(self) -> None:
        """No more messages will be put; `drain` returns once all are sent."""
        self._ended = True
        self._changed.set()

    async def drain(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send messages in order until the end. Raises what `send` raises."""
        try:
            while await self._any():
                await send(self._messages.popleft()[0])
                self._changed.set()
        except Exception as error:
            self._failure = error
            self._changed.set()
            raise

    async def _any(self) -> bool:
        await self._until(lambda: bool(self._messages) or self._ended)
        return bool(self._messages)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _is_full(self) -> bool:
        return len(self._messages) >= self._size

    def forget(self) -> None:
        """Release the error of `send`. Its traceback refers to the stream, which refers to this
        outbox: a reference cycle, which Python collects rarely."""
        self._failure = None

    def _drop_oldest(self) -> bool:
        for index, (_, provisional) in enumerate(self._messages):
            if provisional:
                del self._messages[index]
                return True
        return False
