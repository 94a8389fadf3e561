"""The outbox of a live stream: what it drops, when it waits, how it ends."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable

import pytest
from fastapi import WebSocketDisconnect

from service.live.outbox import Outbox
from service.live.stream import sending


class Client:
    """Reads nothing until `reads` is set."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.reads = asyncio.Event()

    async def send(self, text: str) -> None:
        await self.reads.wait()
        self.read.append(text)


async def is_stuck(work: asyncio.Task[None]) -> bool:
    for _ in range(20):
        await asyncio.sleep(0)
    return not work.done()


async def in_time(work: Awaitable[None]) -> None:
    async with asyncio.timeout(20):
        await work


def test_full_outbox_drops_the_oldest_provisional_messages() -> None:
    async def check() -> None:
        dropped: list[None] = []
        outbox, client = Outbox(4, lambda: dropped.append(None)), Client()
        sending = asyncio.create_task(outbox.drain(client.send))
        for number in range(4):
            await in_time(outbox.put(f"early {number}", provisional=True))
            await in_time(outbox.put(f"final {number}"))
        await in_time(outbox.put("early 4", provisional=True))
        client.reads.set()
        outbox.end()
        await in_time(sending)
        # the first was already being sent
        assert client.read == ["early 0", *(f"final {number}" for number in range(4))]
        assert len(dropped) == 4

    asyncio.run(check())


def test_put_of_a_final_message_waits_while_full() -> None:
    async def check() -> None:
        outbox, client = Outbox(2, lambda: None), Client()
        sending = asyncio.create_task(outbox.drain(client.send))
        for number in range(3):
            await in_time(outbox.put(f"final {number}"))
        waiting = asyncio.create_task(outbox.put("final 3"))
        assert await is_stuck(waiting)
        client.reads.set()
        await in_time(waiting)
        outbox.end()
        await in_time(sending)
        assert client.read == [f"final {number}" for number in range(4)]

    asyncio.run(check())


def test_outbox_without_drops_waits_while_full() -> None:
    async def check() -> None:
        outbox, client = Outbox(1), Client()
        sending = asyncio.create_task(outbox.drain(client.send))
        for text in ("under way", "waits"):
            await in_time(outbox.put(text, provisional=True))
        third = asyncio.create_task(outbox.put("third", provisional=True))
        assert await is_stuck(third)
        client.reads.set()
        await in_time(third)
        outbox.end()
        await in_time(sending)
        assert client.read == ["under way", "waits", "third"]

    asyncio.run(check())


def test_burst_to_a_reading_client_drops_nothing() -> None:
    async def check() -> None:
        dropped: list[None] = []
        outbox, client = Outbox(4, lambda: dropped.append(None)), Client()
        client.reads.set()
        sending = asyncio.create_task(outbox.drain(client.send))
        for number in range(100):
            await in_time(outbox.put(str(number), provisional=True))
        outbox.end()
        await in_time(sending)
        assert client.read == [str(number) for number in range(100)]
        assert not dropped

    asyncio.run(check())


def test_error_of_sending_is_raised_by_drain_and_put() -> None:
    async def check() -> None:
        outbox = Outbox(1)

        async def gone(text: str) -> None:
            raise ConnectionError("gone")

        sending = asyncio.create_task(outbox.drain(gone))
        await outbox.put("lost")
        with pytest.raises(ConnectionError):
            await sending
        with pytest.raises(ConnectionError):
            await outbox.put("refused")

    asyncio.run(check())


class Windows:
    """The large state of a stream."""


def test_state_of_a_stream_is_freed_when_its_client_disconnects() -> None:
    """Without a collection of cycles, which is rare: each client leaves 0.5 MB."""

    async def disconnected(text: str) -> None:
        raise WebSocketDisconnect(1006)

    async def stream() -> "weakref.ref[Windows]":
        outbox, windows = Outbox(4), Windows()
        kept = weakref.ref(windows)
        try:
            async with sending(outbox, disconnected):
                while windows is not None:
                    await outbox.put("a message")
                    await asyncio.sleep(0)
        except WebSocketDisconnect:
            return kept
        raise AssertionError("nothing was raised")

    gc.disable()
    try:
        assert asyncio.run(stream())() is None
    finally:
        gc.enable()
