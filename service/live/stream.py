"""The socket of WS /stream: what comes in, what goes out, how it ends."""

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
    answer_text,
    error_text,
    read_message,
    read_opening,
    ready_text,
)
from service.live.outbox import Outbox
from service.live.session import Answer, LiveSession, PersonAnswers, PersonId, PersonLifting
from service.live.watching import Camera, Watcher
from service.state import ServiceState
from service.wire.problems import problem

FAREWELL_S = 2.0
"""How long the last words to a client may take, when a stream ends before its time."""
MAX_REASON_BYTES = 123
"""RFC 6455, 5.5: a control frame has at most 125 bytes, two of them the code."""
CLOSE_CODES = {415: 1003, 500: 1011, 503: 1013}
"""Status of a problem -> WebSocket close code (RFC 6455, 7.4.1); 1008 for all others."""
PICTURE_PEOPLE = 4

Frames = AsyncGenerator[tuple[range, Mapping[PersonId, KeypointSequence]], None]

router = APIRouter()
_log = logging.getLogger("poselift")


@router.websocket("/stream")
async def stream(socket: WebSocket) -> None:
    """Lift people frame by frame; docs/streaming.md tells the messages."""
    service: ServiceState = socket.app.state.service
    await socket.accept()
    with suppress(WebSocketDisconnect):
        try:
            with service.live.enter(), service.telemetry.live_streams.track_inprogress():
                await _Conversation(socket, service).run()
            await socket.close(1000)
        except PoseError as error:
            await _refuse(socket, error)
        except WebSocketDisconnect:
            raise
        except Exception:
            _log.exception("WS /stream failed")
            await _refuse(socket, PoseError("WS /stream failed"))


async def _refuse(socket: WebSocket, error: PoseError) -> None:
    """The last words; to a client who reads nothing, none."""
    found = problem(error)
    reason = found["detail"].encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    with suppress(TimeoutError):
        async with asyncio.timeout(FAREWELL_S):
            await _send(socket, error_text(error))
            await socket.close(CLOSE_CODES.get(found["status"], 1008), reason)


async def _send(socket: WebSocket, text: str) -> None:
    try:
        await socket.send_text(text)
    except RuntimeError as error:  # the server closed it, for want of a pong or for a bad frame
        raise WebSocketDisconnect(1006) from error


class _Conversation:
    """One client's stream, from the first message to the last answer."""

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
                    found = await self._lift(session.push(span, people), lifter)
                await self._answer(session.answer(found), outbox)
            found = await self._lift(session.flush(), lifter)
            await self._answer(session.answer(found), outbox)

    async def _opening(self) -> Opening:
        for name in self._socket.query_params:
            raise InvalidInput(f"unknown query option {name[:80]!r}; there are none here")
        first = await self._receive()
        if isinstance(first, bytes):
            raise NotUnderstood("the first message is JSON, as text; pictures come after it")
        return read_opening(first, self._settings)

    async def _lift(self, liftings: Sequence[PersonLifting], lifter: Lifter) -> list[PersonAnswers]:
        # the session goes on from these: the number of streams and of their people is the bound
        submit = partial(self._service.batcher.submit, lifter, live=True, bypass_limit=True)
        if len(liftings) == 1:  # as most often; a task of its own costs half of a message's reading
            return [await submit(liftings[0])]
        return await asyncio.gather(*(submit(one) for one in liftings))

    async def _answer(self, answers: Sequence[Answer], outbox: Outbox) -> None:
        for answer in answers:
            if answer.final:
                self._service.telemetry.lifted(len(answer.people))
            await outbox.put(answer_text(answer), provisional=not answer.final)

    async def _frames(self, opening: Opening, lifter: Lifter) -> Frames:
        """What the client sends, people's keypoints or pictures, as its first message after the
        opening decides."""
        first = await self._receive()
        if isinstance(first, bytes):
            frames = self._pictures(first, self._camera(opening, lifter))
        else:
            frames = self._keypoints(first, opening)
        async with aclosing(frames):
            async for one in frames:
                yield one

    async def _keypoints(self, message: Message, opening: Opening) -> Frames:
        most = opening.max_people or self._settings.live_people
        expected: int | None = None
        repairs = SwapRepairs[PersonId]()
        while True:
            if isinstance(message, bytes):
                raise NotUnderstood("this stream takes keypoints, as text; got a binary message")
            got = read_message(message, opening, most)
            if isinstance(got, End):
                return
            if expected is not None and got.frame != expected:
                raise Conflict(f"frame {expected} is expected next, got {got.frame}")
            expected = got.frame + 1
            people = repairs.push(got.people) if opening.repair else got.people
            yield range(got.frame, expected), people
            message = await self._receive()

    async def _pictures(self, first: bytes, camera: Camera) -> Frames:
        with self._service.live_pictures.enter():
            watcher = Watcher(camera)
            threads = self._service.watching
            newest = LatestImage()
            receiving = asyncio.create_task(newest.receive_all(first, self._receive))
            try:
                while (picture := await newest.take()) is not None:
                    look = partial(watcher.look, *picture)
                    yield await asyncio.get_running_loop().run_in_executor(threads, look)
            finally:
                receiving.cancel()
                # not behind other streams' looks: a detector is 0.3 GB, and the place is free after
                await asyncio.to_thread(watcher.close)

    def _camera(self, opening: Opening, lifter: Lifter) -> Camera:
        size = opening.image_size
        return Camera(
            fps=opening.fps,
            image_size=None if size is None else (size[0], size[1]),
            detector=opening.detector or self._settings.detector,
            device=lifter.device,
            max_people=opening.max_people or min(PICTURE_PEOPLE, self._settings.live_people),
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
        if len(message["bytes"]) > self._settings.live_message_bytes:  # where uvicorn is not told
            most_mb = self._settings.live_message_mb
            raise TooLarge(f"a message has at most {most_mb:g} MB here")
        return message["bytes"]

    async def _send(self, text: str) -> None:
        """Raises Stalled where the client takes nothing."""
        try:
            async with asyncio.timeout(self._settings.live_idle_s):
                await _send(self._socket, text)
        except TimeoutError:
            idle_s = self._settings.live_idle_s
            raise Stalled(f"no answer was taken for {idle_s:g} s") from None


def _session(opening: Opening, lifter: Lifter) -> LiveSession:
    """Raises InvalidInput where the model cannot do what the options ask."""
    lookahead = opening.provisional_after(lifter)
    open_stream = partial(MotionStream, lifter, opening.options(), lookahead, fps=opening.fps)
    open_stream()
    return LiveSession(open_stream, provisional=lookahead is not None)


@asynccontextmanager
async def sending(outbox: Outbox, send: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
    """Sends what is put, also what is left at the end: all of it after work that ended well, what a
    short while allows after work that failed."""
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
