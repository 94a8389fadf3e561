"""The latest image of a live stream, for a detector that may be slower than the client."""

import asyncio
from collections.abc import Awaitable, Callable

from service.errors import NotUnderstood
from service.live.messages import is_end

Message = str | bytes

MAX_SKIPPED = 256
"""Skipped images get results too, all at once after the next detected frame."""


class LatestImage:
    """Holds the latest image; one that it replaces is skipped. After MAX_SKIPPED skipped images it
    receives no more until the latest is taken."""

    def __init__(self) -> None:
        self._latest: tuple[bytes, int] | None = None  # (JPEG, frame)
        self._failure: Exception | None = None
        self._ended = False
        self._changed = asyncio.Event()
        self._skipped = 0
        self._taken = asyncio.Event()

    async def receive_all(self, first: Message, receive: Callable[[], Awaitable[Message]]) -> None:
        """Receive images, numbered from 0, until the client ends the stream."""
        message, frame = first, 0
        try:
            while isinstance(message, bytes):
                self._skipped += self._latest is not None
                self._latest = message, frame
                self._changed.set()
                while self._skipped >= MAX_SKIPPED:
                    self._taken.clear()
                    await self._taken.wait()
                message, frame = await receive(), frame + 1
            if not is_end(message):
                raise NotUnderstood("this stream accepts images; a text message can only end it")
        except Exception as error:
            self._failure = error
        finally:
            self._ended = True
            self._changed.set()

    async def take(self) -> tuple[bytes, int] | None:
        """The latest image and its frame; None after the last. Raises what `receive` raised."""
        while self._latest is None and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        if self._failure is not None:
            raise self._failure
        latest, self._latest = self._latest, None
        self._skipped = 0
        self._taken.set()
        return latest
