"""Streams over HTTP: one person's frames in several requests, lifted in the windows of one
sequence."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model import (
    Lifter,
    Lifting,
    MotionStream,
    StreamAnswers,
    applied,
    keypoint_warnings,
    rate_warnings,
)
from service.admission.load import LiveLoad
from service.errors import Conflict, NotFound, Overloaded, TooManyStreams
from service.lifting.batcher import Batcher
from service.lifting.lifters import Lifters
from service.wire.lift import Delay, LiftBody, LiftRequest, LiftResult


class Stream:
    """One person's stream. `push` and `flush` return lift tasks, each run before the next."""

    def __init__(self, request: LiftRequest, lifter: Lifter):
        fps = request.sequence.fps
        self.lifter = lifter
        self.turn = asyncio.Lock()
        self.used_s = time.monotonic()
        self._stream = MotionStream(lifter, request.options, request.lookahead, fps=fps)
        self._fps = fps
        self._delay = lifter.delay_frames(fps)
        self._applied = {
            **applied(lifter, request.options, fps, request.sequence.image_size),
            "repair": False,
            "confidence_within_mm": None,
            "lookahead": request.lookahead,
        }
        defaults = {name: field.default for name, field in LiftBody.model_fields.items()}
        self._settled = defaults | {"model": lifter.name} | dict(request.given)
        self._newest = np.empty((0, 17, 3), np.float32)  # keypoints of frames without a final pose

    @property
    def frames(self) -> int:
        """Frames taken, which is the number of the next."""
        return self._stream.pushed

    def check(self, asked: LiftRequest) -> None:
        """Raises Conflict where a request does not go on with this stream."""
        for name, value in asked.given.items():
            if value != self._settled[name]:
                raise Conflict(
                    f"{name} may not change in a stream: it was {self._settled[name]!r:.80}, "
                    f"got {value!r:.80}"
                )
        if asked.first_frame not in (None, self.frames):
            raise Conflict(
                f"the next first_frame of this stream is {self.frames}, got {asked.first_frame}"
            )

    def push(self, request: LiftRequest) -> Lifting[LiftResult]:
        """Take the next frames; the result holds the poses that they complete."""
        sequence = request.sequence.to_h36m17()
        first = self.frames - len(self._newest)
        poses = yield from self._stream.push(sequence)
        rows = np.concatenate([self._newest, sequence.rows])
        self._newest = rows[max(0, len(rows) - self._delay) :]
        warnings = rate_warnings(self.lifter, self._fps) + keypoint_warnings(request.sequence)
        return self._result(poses, rows, first, warnings)

    def flush(self) -> Lifting[LiftResult]:
        """The poses still due."""
        first = self.frames - len(self._newest)
        poses = yield from self._stream.flush()
        return self._result(poses, self._newest, first, [])

    def _result(
        self, poses: StreamAnswers, keypoints: NDArray[np.float32], first: int, warnings: list[str]
    ) -> LiftResult:
        """`keypoints` are those of frame `first` and the following."""
        frames = np.array([frame for part in poses for frame in part.frames], np.int64)
        return LiftResult(
            model=(self.lifter.name, self.lifter.version),
            frames=frames,
            final=np.repeat([True, False], [len(part.xyz) for part in poses]),
            keypoints=keypoints[frames - first],
            xyz=np.concatenate([part.xyz for part in poses]),
            applied=self._applied,
            warnings=warnings,
            delay=Delay(self._delay, self._delay / self._fps),
        )

    def document(self) -> dict[str, Any]:
        """What GET /streams says of it."""
        told = ("model", "skeleton", "image_size", "fps")
        return {
            **{name: self._settled[name] for name in told},
            "frames": self.frames,
            "idle_s": round(time.monotonic() - self.used_s, 3),
        }


class Streams:
    """The streams of all callers by their names: `most` at a time, each forgotten `idle_s` after
    its last request."""

    def __init__(
        self, lifters: Lifters, batcher: Batcher, load: LiveLoad, *, most: int, idle_s: float
    ):
        self._lifters = lifters
        self._batcher = batcher
        self._load = load
        self._most = most
        self._idle_s = idle_s
        self._streams: dict[str, Stream] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def push(self, id: str, asked: LiftRequest) -> LiftResult:
        """Go on with a stream, or begin it. Requests for one stream are carried out in the order in
        which they came. Raises Conflict, TooManyStreams, InvalidInput, Overloaded."""
        stream = self._streams.get(id) or await self._begin(id, asked)
        async with self._turn(id, stream):
            stream.check(asked)
            frames, pushed = len(asked.sequence), stream.push(asked)
            if frames > stream.lifter.frames:  # what brings so many at once is no live caller
                return await self._lift(id, stream, pushed, live=False)
            with self._load.measure(id, frames, asked.sequence.fps):
                return await self._lift(id, stream, pushed, live=True)

    async def end(self, id: str) -> LiftResult:
        """The rest of a stream, which is then forgotten; raises NotFound, Overloaded."""
        stream = self._streams.get(id)
        if stream is None:
            raise NotFound(f"there is no stream {id[:80]!r}; it may have been idle for too long")
        async with self._turn(id, stream):
            result = await self._lift(id, stream, stream.flush(), live=True)
            self._forget(id)
            return result

    def documents(self) -> list[dict[str, Any]]:
        return [{"id": id, **stream.document()} for id, stream in self._streams.items()]

    async def _begin(self, id: str, asked: LiftRequest) -> Stream:
        stream = Stream(asked, await self._lifters.loaded(asked.model))
        stream.check(asked)
        if id in self._streams:  # another request began it meanwhile
            return self._streams[id]
        if len(self._streams) >= self._most:
            raise self._too_many()
        self._load.begin(id, asked.sequence.fps)
        self._streams[id] = stream
        self._watch(id, stream)
        return stream

    def _too_many(self) -> TooManyStreams:
        idle_longest_s = max(time.monotonic() - one.used_s for one in self._streams.values())
        retry_after_s = max(1, math.ceil(self._idle_s - idle_longest_s))
        return TooManyStreams(
            f"{self._most} streams are open, as many as may be; try again in {retry_after_s} s",
            retry_after_s,
        )

    @asynccontextmanager
    async def _turn(self, id: str, stream: Stream) -> AsyncIterator[None]:
        async with stream.turn:
            if self._streams.get(id) is not stream:
                raise Conflict("the stream ended while this request waited for its turn")
            stream.used_s = time.monotonic()
            try:
                yield
            finally:
                stream.used_s = time.monotonic()

    async def _lift(
        self, id: str, stream: Stream, lifting: Lifting[LiftResult], *, live: bool
    ) -> LiftResult:
        try:
            return await self._batcher.submit(stream.lifter, lifting, live=live)
        except Overloaded:  # nothing was begun: the request may come again
            raise
        except BaseException:
            self._forget(id)
            raise

    def _watch(self, id: str, stream: Stream) -> None:
        """Forget the stream once it is idle for long enough."""
        left_s = stream.used_s + self._idle_s - time.monotonic()
        if stream.turn.locked():
            left_s = self._idle_s
        if left_s <= 0:
            self._forget(id)
            return
        later = asyncio.get_running_loop().call_later
        self._timers[id] = later(left_s, self._watch, id, stream)

    def _forget(self, id: str) -> None:
        del self._streams[id]
        self._timers.pop(id).cancel()
        self._load.end(id)
