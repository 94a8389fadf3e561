"""Pictures as they arrive, for a detector that may be behind: the newest wins."""

import asyncio
from collections.abc import Awaitable, Callable

from service.errors import NotUnderstood
from service.live.messages import is_end

Message = str | bytes

MOST_SKIPPED = 256
"""Skipped pictures are answered, too, all at once after the next look."""


class NewestPicture:
    """Holds the one picture that nobody has looked at; one that it replaced was skipped. After so
    many no more are received until it is taken."""

    def __init__(self) -> None:
        self._held: tuple[bytes, int] | None = None
        self._failure: Exception | None = None
        self._ended = False
        self._changed = asyncio.Event()
        self._skipped = 0
        self._taken = asyncio.Event()

    async def receive_all(self, first: Message, receive: Callable[[], Awaitable[Message]]) -> None:
        """Pictures, numbered from 0, until the client ends the stream."""
        message, frame = first, 0
        try:
            while isinstance(message, bytes):
                self._skipped += self._held is not None
                self._held = message, frame
                self._changed.set()
                while self._skipped >= MOST_SKIPPED:
                    self._taken.clear()
                    await self._taken.wait()
                message, frame = await receive(), frame + 1
            if not is_end(message):
                raise NotUnderstood("this stream takes pictures; a text message can only end it")
        except Exception as error:
            self._failure = error
        finally:
            self._ended = True
            self._changed.set()

    async def take(self) -> tuple[bytes, int] | None:
        """The newest picture and its number; None after the last. Raises what receiving raised."""
        while self._held is None and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        if self._failure is not None:
            raise self._failure
        held, self._held = self._held, None
        self._skipped = 0
        self._taken.set()
        return held
