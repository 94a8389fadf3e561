"""Reads request bodies up to a limit, and drains those of rejected requests."""

import asyncio
import time
from collections.abc import AsyncIterator

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model import TooLarge
from service.errors import Stalled
from service.settings import MB

DRAIN_S = 10.0
"""How long the rest of a rejected body is read, so that the client can read the response."""


def check_declared(request: Request, limit: int, name: str) -> int:
    """Content-Length in bytes, 0 if absent. Raises TooLarge if it exceeds `limit`."""
    declared = request.headers.get("content-length", "")
    length = int(declared) if declared.isdecimal() else 0
    if length > limit:
        raise _too_large(name, limit)
    return length


async def chunks(request: Request, limit: int, name: str, stall_s: float) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises TooLarge beyond `limit` bytes, Stalled after `stall_s` without
    data."""
    received = 0
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(stall_s):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise Stalled(f"no data of {name} arrived for {stall_s:g} s") from None
        if chunk is None:
            return
        received += len(chunk)
        if received > limit:
            raise _too_large(name, limit)
        yield chunk


async def read_body(request: Request, limit: int, stall_s: float) -> bytes:
    """The whole body; raises what `chunks` raises."""
    check_declared(request, limit, "the body")
    return b"".join([chunk async for chunk in chunks(request, limit, "the body", stall_s)])


def _too_large(name: str, limit: int) -> TooLarge:
    return TooLarge(f"{name} must be at most {limit / MB:g} MB; send less at a time")


class DrainRejectedBodies:
    """Middleware that delivers an early response to a client that is still sending.

    Closing a connection with unread bytes resets it, and the client loses the response. So the rest
    of the body is read and dropped, for a bounded time, before the connection closes.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        body = _Body(receive, send)
        await self._app(scope, body.receive, body.send)


def _has_body(headers: Headers) -> bool:
    """False for a client that waits for "100 Continue": it sends no body to a rejected request."""
    if "expect" in headers:
        return False
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


class _Body:
    """The two channels of a request, and whether its body has ended."""

    def __init__(self, receive: Receive, send: Send):
        self._receive = receive
        self._send = send
        self._ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._ended = self._ended or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if self._ended:
            await self._send(message)
        elif message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            await self._send({**message, "headers": headers})
        elif message.get("more_body", False):
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            await self._drain()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drain(self) -> None:
        end_s = time.monotonic() + DRAIN_S
        while not self._ended:
            try:
                async with asyncio.timeout(end_s - time.monotonic()):
                    await self.receive()
            except TimeoutError:
                return
