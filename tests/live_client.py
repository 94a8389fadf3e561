"""A client of WS /stream, message by message."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

Document = dict[str, Any]
OPENING: Document = {"skeleton": "h36m17", "image_size": [1920, 1080], "fps": 30}


@contextmanager
def connected(server: httpx.Client) -> Iterator[ClientConnection]:
    url = str(server.base_url.copy_with(scheme="ws", path="/stream"))
    # pings must not end a connection during a slow test
    with connect(url, open_timeout=60, ping_interval=None, max_queue=None) as socket:
        yield socket


def send(socket: ClientConnection, message: Document | str | bytes) -> None:
    socket.send(json.dumps(message) if isinstance(message, dict) else message)


def receive(socket: ClientConnection) -> Document:
    document: Document = json.loads(socket.recv(timeout=60))
    return document


def opened(socket: ClientConnection, opening: Document = OPENING) -> Document:
    send(socket, opening)
    ready = receive(socket)
    assert ready["type"] == "ready", ready
    return ready


def rest(socket: ClientConnection) -> tuple[list[Document], int, str]:
    """All remaining messages, and the close code and reason."""
    messages = []
    try:
        while True:
            messages.append(receive(socket))
    except ConnectionClosed:
        return messages, socket.close_code or 0, socket.close_reason or ""
