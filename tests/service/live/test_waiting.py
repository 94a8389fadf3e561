"""What a stream's socket waits for: its patience, and how much it lets lie unread."""

import asyncio

import pytest
from uvicorn import Config
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from servers import in_a_loop
from service.live.connection import MOST_WAITING, SMALL_BYTES, LiveConnection
from service.live.patience import Patience

LIMIT_S = 0.2


@in_a_loop
async def test_each_wait_has_the_whole_time() -> None:
    """Together they take far longer than any one of them may."""
    patience, loop = Patience(LIMIT_S), asyncio.get_running_loop()
    start_s = loop.time()
    for _ in range(8):
        with patience:
            await asyncio.sleep(LIMIT_S / 4)
    assert loop.time() - start_s > 1.9 * LIMIT_S
    patience.close()


@in_a_loop
async def test_a_wait_that_is_too_long_ends_and_the_next_may_go_on() -> None:
    patience, loop = Patience(LIMIT_S), asyncio.get_running_loop()
    with patience:
        await asyncio.sleep(LIMIT_S / 2)
    for _ in range(2):
        start_s = loop.time()
        with pytest.raises(TimeoutError), patience:
            await asyncio.sleep(60)
        assert loop.time() - start_s >= 0.99 * LIMIT_S
    with patience:
        await asyncio.sleep(0)
    patience.close()


@in_a_loop
async def test_what_happens_between_waits_takes_as_long_as_it_likes() -> None:
    patience = Patience(LIMIT_S)
    with patience:
        await asyncio.sleep(0)
    await asyncio.sleep(2 * LIMIT_S)
    with pytest.raises(TimeoutError), patience:
        await asyncio.sleep(60)
    patience.close()


@in_a_loop
async def test_whoever_else_cancels_means_it() -> None:
    patience = Patience(60)

    async def wait() -> None:
        with patience:
            await asyncio.sleep(60)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    patience.close()


class Transport(asyncio.Transport):
    """Notes whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = True

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        pass


async def nothing(scope: object, receive: object, send: object) -> None:
    """An application that receives nothing by itself."""
    await asyncio.Event().wait()


async def opened() -> tuple[LiveConnection, Transport, ClientProtocol]:
    connection, transport = (
        LiveConnection(Config(nothing, interface="asgi3"), ServerState(), {}),
        Transport(),
    )
    connection.connection_made(transport)
    client = ClientProtocol(parse_uri("ws://here/stream"))
    client.send_request(client.connect())
    connection.data_received(b"".join(client.data_to_send()))
    client.state = client.state.OPEN
    connection.queue.get_nowait()  # that it connects
    await asyncio.sleep(0)
    return connection, transport, client


def sent(client: ClientProtocol, size: int) -> bytes:
    client.send_text(b"x" * size)
    return b"".join(client.data_to_send())


@in_a_loop
async def test_small_messages_may_lie_unread_but_not_without_end() -> None:
    connection, transport, client = await opened()
    for count in range(1, MOST_WAITING + 1):
        connection.data_received(sent(client, 1000))
        assert connection.queue.qsize() == count and transport.is_read
    connection.data_received(sent(client, 1000))
    assert not transport.is_read
    for _ in range(MOST_WAITING + 1):
        assert len((await connection.receive())["text"]) == 1000
    assert transport.is_read


@in_a_loop
async def test_behind_a_large_message_nothing_is_read() -> None:
    connection, transport, client = await opened()
    connection.data_received(sent(client, SMALL_BYTES + 1))
    assert not transport.is_read
    await connection.receive()
    assert transport.is_read
