"""Answers that wait for their client: what is dropped, what waits, how it ends."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable

import pytest
from fastapi import WebSocketDisconnect

from service.live.outbox import Outbox
from service.live.stream import sending


class Client:
    """Reads only while it is let."""

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


def test_the_oldest_provisional_answers_are_dropped() -> None:
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
        # the first was on its way already
        assert client.read == ["early 0", *(f"final {number}" for number in range(4))]
        assert len(dropped) == 4

    asyncio.run(check())


def test_final_answers_wait_for_room() -> None:
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


def test_nothing_is_dropped_that_need_not_be() -> None:
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


def test_a_client_who_reads_loses_nothing_of_a_burst() -> None:
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


def test_what_sending_raises_ends_the_work() -> None:
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
    """What a stream holds, and is much."""


def test_a_stream_whose_client_vanished_is_let_go_at_once() -> None:
    """Not when Python next looks for cycles, which is rare: 0.5 MB a client lay there till then."""

    async def vanished(text: str) -> None:
        raise WebSocketDisconnect(1006)

    async def stream() -> "weakref.ref[Windows]":
        outbox, windows = Outbox(4), Windows()
        kept = weakref.ref(windows)
        try:
            async with sending(outbox, vanished):
                while windows is not None:
                    await outbox.put("an answer")
                    await asyncio.sleep(0)
        except WebSocketDisconnect:
            return kept
        raise AssertionError("nothing was raised")

    gc.disable()
    try:
        assert asyncio.run(stream())() is None
    finally:
        gc.enable()
