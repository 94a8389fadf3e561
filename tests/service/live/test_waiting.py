"""A live connection stops reading its socket while messages are queued."""

import asyncio

from uvicorn import Config
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from servers import in_a_loop
from service.live.connection import MAX_QUEUED, SMALL_BYTES, LiveConnection


class Transport(asyncio.Transport):
    """Records whether reading is paused."""

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
    """An application that receives no message."""
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
    connection.queue.get_nowait()  # the connect message
    await asyncio.sleep(0)
    return connection, transport, client


def sent(client: ClientProtocol, size: int) -> bytes:
    client.send_text(b"x" * size)
    return b"".join(client.data_to_send())


@in_a_loop
async def test_reading_pauses_at_the_limit_of_small_messages() -> None:
    connection, transport, client = await opened()
    for count in range(1, MAX_QUEUED + 1):
        connection.data_received(sent(client, 1000))
        assert connection.queue.qsize() == count and transport.is_read
    connection.data_received(sent(client, 1000))
    assert not transport.is_read
    for _ in range(MAX_QUEUED + 1):
        assert len((await connection.receive())["text"]) == 1000
    assert transport.is_read


@in_a_loop
async def test_reading_pauses_after_a_large_message() -> None:
    connection, transport, client = await opened()
    connection.data_received(sent(client, SMALL_BYTES + 1))
    assert not transport.is_read
    await connection.receive()
    assert transport.is_read
