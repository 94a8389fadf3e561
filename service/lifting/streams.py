"""Streams over HTTP: the frames of one person in several requests, lifted as one sequence."""

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
        self._fields = defaults | {"model": lifter.name} | dict(request.fields)
        self._newest = np.empty((0, 17, 3), np.float32)  # keypoints of frames without a final pose

    @property
    def frames(self) -> int:
        """The number of frames received."""
        return self._stream.pushed

    def check(self, request: LiftRequest) -> None:
        """Raises Conflict if a request does not continue this stream."""
        for name, value in request.fields.items():
            if value != self._fields[name]:
                raise Conflict(
                    f"{name} may not change in a stream: it was {self._fields[name]!r:.80}, "
                    f"got {value!r:.80}"
                )
        if request.first_frame not in (None, self.frames):
            raise Conflict(
                f"the next first_frame of this stream is {self.frames}, got {request.first_frame}"
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
        """The remaining poses."""
        first = self.frames - len(self._newest)
        poses = yield from self._stream.flush()
        return self._result(poses, self._newest, first, [])

    def _result(
        self, poses: StreamAnswers, keypoints: NDArray[np.float32], first: int, warnings: list[str]
    ) -> LiftResult:
        """`keypoints` are those of the frames from `first` on."""
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
        """The stream's entry in GET /streams."""
        return {
            **{name: self._fields[name] for name in ("model", "skeleton", "image_size", "fps")},
            "frames": self.frames,
            "idle_s": round(time.monotonic() - self.used_s, 3),
        }


class Streams:
    """The streams of all callers by their ids: at most `most`, each removed `idle_s` after its last
    request."""

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

    async def push(self, id: str, request: LiftRequest) -> LiftResult:
        """Continue or begin a stream. Requests for one stream run in the order of their arrival.
        Raises Conflict, TooManyStreams, InvalidInput, Overloaded."""
        stream = self._streams.get(id) or await self._begin(id, request)
        async with self._turn(id, stream):
            stream.check(request)
            frames, task = len(request.sequence), stream.push(request)
            if frames > stream.lifter.frames:  # more than a live caller would send
                return await self._lift(id, stream, task, live=False)
            with self._load.measure(id, frames, request.sequence.fps):
                return await self._lift(id, stream, task, live=True)

    async def end(self, id: str) -> LiftResult:
        """Remove a stream and return its remaining poses; raises NotFound, Overloaded."""
        stream = self._streams.get(id)
        if stream is None:
            raise NotFound(f"there is no stream {id[:80]!r}; it may have been idle for too long")
        async with self._turn(id, stream):
            result = await self._lift(id, stream, stream.flush(), live=True)
            self._remove(id)
            return result

    def documents(self) -> list[dict[str, Any]]:
        return [{"id": id, **stream.document()} for id, stream in self._streams.items()]

    async def _begin(self, id: str, request: LiftRequest) -> Stream:
        stream = Stream(request, await self._lifters.loaded(request.model))
        stream.check(request)
        if id in self._streams:  # another request began it meanwhile
            return self._streams[id]
        if len(self._streams) >= self._most:
            raise self._too_many()
        self._load.begin(id, request.sequence.fps)
        self._streams[id] = stream
        self._watch(id, stream)
        return stream

    def _too_many(self) -> TooManyStreams:
        oldest_s = min(stream.used_s for stream in self._streams.values())
        retry_after_s = max(1, math.ceil(self._idle_s - (time.monotonic() - oldest_s)))
        return TooManyStreams(
            f"{self._most} streams are open, the limit; try again in {retry_after_s} s",
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
        self, id: str, stream: Stream, task: Lifting[LiftResult], *, live: bool
    ) -> LiftResult:
        try:
            return await self._batcher.submit(stream.lifter, task, live=live)
        except Overloaded:  # the task did not start: the request may be repeated
            raise
        except BaseException:
            self._remove(id)
            raise

    def _watch(self, id: str, stream: Stream) -> None:
        """Remove the stream once it has been idle for idle_s."""
        left_s = stream.used_s + self._idle_s - time.monotonic()
        if stream.turn.locked():
            left_s = self._idle_s
        if left_s <= 0:
            self._remove(id)
            return
        later = asyncio.get_running_loop().call_later
        self._timers[id] = later(left_s, self._watch, id, stream)

    def _remove(self, id: str) -> None:
        del self._streams[id]
        self._timers.pop(id).cancel()
        self._load.end(id)
