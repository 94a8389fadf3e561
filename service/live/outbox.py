"""Answers on their way to a client who may read slowly: bounded, and final ones are never lost."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable


class Outbox:
    """At most `size` messages. When it is full, whoever puts one waits; or, if `dropped` is given,
    the oldest provisional one goes, as long as there is one, and `dropped` is told."""

    def __init__(self, size: int, dropped: Callable[[], None] | None = None):
        self._size = size
        self._dropped = dropped
        self._held: deque[tuple[str, bool]] = deque()
        self._ended = False
        self._failure: Exception | None = None
        self._changed = asyncio.Event()

    async def put(self, text: str, *, provisional: bool = False) -> None:
        """Raises what sending raised."""
        if self._is_full():
            await asyncio.sleep(0)  # a client who reads takes all before anything is dropped
        if self._dropped and self._is_full():
            makes_room = self._drop_oldest()
            if makes_room or provisional:
                self._dropped()
            if provisional and not makes_room:
                return
        await self._until(lambda: not self._is_full() or self._failure is not None)
        if self._failure is not None:
            raise self._failure
        self._held.append((text, provisional))
        self._changed.set()

    def end(self) -> None:
        """Nothing more will come: `drain` returns when all is sent."""
        self._ended = True
        self._changed.set()

    async def drain(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send what is put, in order, until the end; raises what `send` raises."""
        try:
            while await self._any():
                await send(self._held.popleft()[0])
                self._changed.set()
        except Exception as error:
            self._failure = error
            self._changed.set()
            raise

    async def _any(self) -> bool:
        await self._until(lambda: bool(self._held) or self._ended)
        return bool(self._held)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()

    def _is_full(self) -> bool:
        return len(self._held) >= self._size

    def forget(self) -> None:
        """Let go of what sending raised: it holds the stream that holds this, and only the rare
        collections of cycles would find them."""
        self._failure = None

    def _drop_oldest(self) -> bool:
        for place, (_, provisional) in enumerate(self._held):
            if provisional:
                del self._held[place]
                return True
        return False
