"""The WebSocket of WS /stream: receives frames, sends poses, and closes with an error's code."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from model import (
    InvalidInput,
    KeypointSequence,
    Lifter,
    MotionStream,
    PoseError,
    SwapRepairs,
    TooLarge,
)
from service.errors import Conflict, NotUnderstood, Stalled
from service.live.latest_image import LatestImage, Message
from service.live.messages import (
    End,
    Opening,
    error_text,
    poses_text,
    read_message,
    read_opening,
    ready_text,
)
from service.live.outbox import Outbox
from service.live.session import FramePoses, LiveSession, PersonId, PersonPoses, PersonTask
from service.live.watching import ImageOptions, Watcher
from service.state import ServiceState
from service.wire.problems import problem

FAREWELL_S = 2.0
"""Time limit for the last messages of a stream that ends with an error."""
MAX_REASON_BYTES = 123
"""RFC 6455, 5.5: a control frame has at most 125 bytes, two of them the code."""
CLOSE_CODES = {415: 1003, 500: 1011, 503: 1013}
"""Status of a problem -> WebSocket close code (RFC 6455, 7.4.1); 1008 for all others."""
IMAGE_PEOPLE = 4
"""The default of max_people for images."""

Frames = AsyncGenerator[tuple[range, Mapping[PersonId, KeypointSequence]], None]

router = APIRouter()
_log = logging.getLogger("poselift")


@router.websocket("/stream")
async def stream(socket: WebSocket) -> None:
    """Lift people frame by frame; docs/streaming.md describes the messages."""
    service: ServiceState = socket.app.state.service
    await socket.accept()
    with suppress(WebSocketDisconnect):
        try:
            with service.live.enter(), service.telemetry.live_streams.track_inprogress():
                await _Connection(socket, service).run()
            await socket.close(1000)
        except PoseError as error:
            await _refuse(socket, error)
        except WebSocketDisconnect:
            raise
        except Exception:
            _log.exception("WS /stream failed")
            await _refuse(socket, PoseError("WS /stream failed"))


async def _refuse(socket: WebSocket, error: PoseError) -> None:
    """Send the error and close; give up on a client that does not read."""
    document = problem(error)
    reason = document["detail"].encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    with suppress(TimeoutError):
        async with asyncio.timeout(FAREWELL_S):
            await _send(socket, error_text(error))
            await socket.close(CLOSE_CODES.get(document["status"], 1008), reason)


async def _send(socket: WebSocket, text: str) -> None:
    try:
        await socket.send_text(text)
    except RuntimeError as error:  # uvicorn closed it, after a missing pong or a bad frame
        raise WebSocketDisconnect(1006) from error


class _Connection:
    """One client's stream, from the first message to the last pose."""

    def __init__(self, socket: WebSocket, service: ServiceState):
        self._socket = socket
        self._service = service
        self._settings = service.settings

    async def run(self) -> None:
        opening = await self._opening()
        lifter = await asyncio.to_thread(self._service.lifters.get, opening.model)
        session = _session(opening, lifter)
        self._service.live_load.begin(self, opening.fps)
        try:
            await self._lift_all(opening, lifter, session)
        finally:
            self._service.live_load.end(self)

    async def _lift_all(self, opening: Opening, lifter: Lifter, session: LiveSession) -> None:
        await self._send(ready_text(opening, lifter))
        dropped = self._service.telemetry.live_dropped.inc
        drops = opening.policy == "drop_oldest"
        outbox = Outbox(self._settings.live_queue, dropped if drops else None)
        async with sending(outbox, self._send), aclosing(self._frames(opening, lifter)) as frames:
            async for span, people in frames:
                with self._service.live_load.measure(self, len(span), opening.fps):
                    results = await self._lift(session.push(span, people), lifter)
                await self._put(session.complete(results), outbox)
            results = await self._lift(session.flush(), lifter)
            await self._put(session.complete(results), outbox)

    async def _opening(self) -> Opening:
        for name in self._socket.query_params:
            raise InvalidInput(f"unknown query option {name[:80]!r}; WS /stream has none")
        first = await self._receive()
        if isinstance(first, bytes):
            raise NotUnderstood("the first message must be JSON text, got a binary message")
        return read_opening(first, self._settings)

    async def _lift(self, tasks: Sequence[PersonTask], lifter: Lifter) -> list[PersonPoses]:
        # a rejected task would end the stream; streams and their people are limited instead
        submit = partial(self._service.batcher.submit, lifter, live=True, bypass_limit=True)
        if len(tasks) == 1:  # the usual case; an asyncio task costs half of reading a message
            return [await submit(tasks[0])]
        return await asyncio.gather(*map(submit, tasks))

    async def _put(self, frames: Sequence[FramePoses], outbox: Outbox) -> None:
        for frame in frames:
            if frame.final:
                self._service.telemetry.lifted(len(frame.people))
            await outbox.put(poses_text(frame), provisional=not frame.final)

    async def _frames(self, opening: Opening, lifter: Lifter) -> Frames:
        """The frames that the client sends, as keypoints or as images, according to its first
        message after the opening."""
        first = await self._receive()
        if isinstance(first, bytes):
            frames = self._images(first, self._image_options(opening, lifter))
        else:
            frames = self._keypoints(first, opening)
        async with aclosing(frames):
            async for frame in frames:
                yield frame

    async def _keypoints(self, message: Message, opening: Opening) -> Frames:
        most = opening.max_people or self._settings.live_people
        expected: int | None = None
        repairs = SwapRepairs[PersonId]()
        while True:
            if isinstance(message, bytes):
                raise NotUnderstood("this stream takes keypoints, as text; got a binary message")
            frame = read_message(message, opening, most)
            if isinstance(frame, End):
                return
            if expected is not None and frame.number != expected:
                raise Conflict(f"frame {expected} is expected next, got {frame.number}")
            expected = frame.number + 1
            people = repairs.push(frame.people) if opening.repair else frame.people
            yield range(frame.number, expected), people
            message = await self._receive()

    async def _images(self, first: bytes, options: ImageOptions) -> Frames:
        with self._service.live_pictures.enter():
            watcher = Watcher(options)
            threads = self._service.watching
            latest = LatestImage()
            receiving = asyncio.create_task(latest.receive_all(first, self._receive))
            try:
                while (image := await latest.take()) is not None:
                    detect = partial(watcher.detect, *image)
                    yield await asyncio.get_running_loop().run_in_executor(threads, detect)
            finally:
                receiving.cancel()
                # in a thread of its own, to free the detector's 0.3 GB before other streams' images
                await asyncio.to_thread(watcher.close)

    def _image_options(self, opening: Opening, lifter: Lifter) -> ImageOptions:
        return ImageOptions(
            fps=opening.fps,
            image_size=opening.size,
            detector=opening.detector or self._settings.detector,
            device=lifter.device,
            max_people=opening.max_people or min(IMAGE_PEOPLE, self._settings.live_people),
            max_pixels=self._settings.max_picture_pixels,
            repair=opening.repair,
        )

    async def _receive(self) -> Message:
        """The next message; raises Stalled and WebSocketDisconnect."""
        try:
            async with asyncio.timeout(self._settings.live_idle_s):
                message = await self._socket.receive()
        except TimeoutError:
            idle_s = self._settings.live_idle_s
            raise Stalled(f"nothing was received for {idle_s:g} s") from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        text: str | None = message.get("text")
        if text is not None:
            return text
        if len(message["bytes"]) > self._settings.live_message_bytes:  # a server without our limit
            raise TooLarge(f"messages may have {self._settings.live_message_mb:g} MB")
        return message["bytes"]

    async def _send(self, text: str) -> None:
        """Raises Stalled if the client does not read."""
        try:
            async with asyncio.timeout(self._settings.live_idle_s):
                await _send(self._socket, text)
        except TimeoutError:
            idle_s = self._settings.live_idle_s
            raise Stalled(f"no message was read for {idle_s:g} s") from None


def _session(opening: Opening, lifter: Lifter) -> LiveSession:
    """Raises InvalidInput if the model does not support the options."""
    lookahead = opening.provisional_after(lifter)
    open_stream = partial(MotionStream, lifter, opening.options(), lookahead, fps=opening.fps)
    open_stream()  # checks the options
    return LiveSession(open_stream, provisional=lookahead is not None)


@asynccontextmanager
async def sending(outbox: Outbox, send: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
    """Send the outbox's messages in a task of their own; at the end also the remaining ones, after
    an error within FAREWELL_S."""
    sender = asyncio.create_task(outbox.drain(send))
    try:
        yield
        outbox.end()
        await sender
    except BaseException:
        outbox.end()
        await asyncio.wait({sender}, timeout=FAREWELL_S)
        raise
    finally:
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
        outbox.forget()
