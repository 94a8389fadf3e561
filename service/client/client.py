"""The service from Python: `Client`, and `AsyncClient` with the same methods to await.

Both raise ServiceProblem and NoService (service.exchange); what may pass is tried again first.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
from httpx_sse import SSEError, aconnect_sse, connect_sse
from numpy.typing import ArrayLike
from tenacity import AsyncRetrying, Retrying

from model import InvalidInput, VideoResult, read_npz, written_whole
from service.client.exchange import (
    POLL_S,
    Ask,
    Job,
    Lifted,
    NoService,
    ServiceProblem,
    UploadProgress,
    ask_cancel,
    ask_job,
    ask_lift,
    ask_overlay,
    ask_result,
    ask_video,
    broken,
    check,
    events_of,
    pause_of,
    read_job,
    read_lifted,
    retrying,
)

__all__ = ["AsyncClient", "Client", "Job", "Lifted", "NoService", "ServiceProblem"]

DEFAULT_URL = "http://127.0.0.1:8000"
UNHEARD = (httpx.TransportError, SSEError)
"""Events that cannot be heard: the job itself is asked instead."""

Http = TypeVar("Http", httpx.Client, httpx.AsyncClient)


def _opened(kind: Callable[..., Http], url: str, timeout_s: float) -> Http:
    try:
        return kind(base_url=url, timeout=timeout_s)
    except httpx.InvalidURL as error:
        raise InvalidInput(f"{url}: {error}") from error


class Client:
    """A service at `url`. `timeout_s` is how long the service may stay silent; a request that may
    succeed later is made up to `attempts` times. Close it, or use it in a `with`."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout_s: float = 60, attempts: int = 4):
        self._http = _opened(httpx.Client, url, timeout_s)
        self._attempts = attempts

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def lift(
        self,
        keypoints: ArrayLike,
        *,
        image_size: tuple[int, int],
        fps: float,
        skeleton: str = "h36m17",
        **options: Any,
    ) -> Lifted:
        """2D keypoints (T, J, 2 or 3), x, y px and score, NaN where not seen -> 3D poses; the
        options are those of POST /lift."""
        return read_lifted(self._send(ask_lift(keypoints, image_size, fps, skeleton, options)))

    def lift_video(self, video: Path, **options: Any) -> VideoResult:
        """A video file -> everybody's 3D poses; the options are those of POST /video."""
        job = self.submit(video, options)
        self.wait(job.id)
        return self.result(job.id)

    def submit(
        self,
        video: Path,
        options: Mapping[str, Any] | None = None,
        *,
        progress: UploadProgress | None = None,
        key: str | None = None,
    ) -> Job:
        """Upload a video, streamed from the disk; it is worked on as a job. With the same `key`
        the same video and options are the same job; without one, each call is a new job."""
        return read_job(self._send(ask_video(video, options or {}, key, progress)))

    def job(self, id: str) -> Job:
        return read_job(self._send(ask_job(id)))

    def follow(self, id: str) -> Iterator[Job]:
        """The job at each change, the last time when it has ended."""
        while True:
            try:
                with connect_sse(self._http, "GET", events_of(id)) as events:
                    for event in events.iter_sse():
                        yield (job := read_job(event.data))
                        if job.ended:
                            return
            except UNHEARD:
                pass
            yield (job := self.job(id))
            if job.ended:
                return
            time.sleep(POLL_S)

    def wait(self, id: str) -> Job:
        """The job when it has succeeded; raises ServiceProblem where it failed."""
        for job in self.follow(id):
            last = job
        return last.check()

    def result(self, id: str) -> VideoResult:
        with tempfile.TemporaryDirectory(prefix="poselift-") as folder:
            path = Path(folder) / "result.npz"
            self.save_result(id, path, "npz")
            return read_npz(path)

    def save_result(
        self,
        id: str,
        path: Path,
        format: str = "json",
        person: int | None = None,
        space: str | None = None,
    ) -> None:
        """The result as a file, which is complete or not there; `person` is an id of the result,
        for formats that hold one; `space` another than the one that the video was asked for in."""
        self._save(ask_result(id, format, person, space), path)

    def save_overlay(self, id: str, path: Path) -> None:
        """The video with its poses drawn, as an MP4 file; complete or not there."""
        self._save(ask_overlay(id), path)

    def cancel(self, id: str) -> None:
        """End a job, or forget one that has ended; its files are removed."""
        self._send(ask_cancel(id))

    def _send(self, ask: Ask) -> bytes:
        attempts = Retrying(**retrying(1 if ask.once else self._attempts))
        return attempts(partial(self._sent, ask))

    def _sent(self, ask: Ask) -> bytes:
        with self._reply(ask) as response:
            return response.read()

    def _save(self, ask: Ask, path: Path) -> None:
        attempts = Retrying(**retrying(self._attempts))
        with written_whole(path) as part:
            while pause_s := attempts(partial(self._downloaded, ask, part)):
                time.sleep(pause_s)

    def _downloaded(self, ask: Ask, part: Path) -> float:
        """Write the reply to a file; where it is not ready, when to ask again."""
        with self._reply(ask) as response, part.open("wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
            return pause_of(response)

    @contextmanager
    def _reply(self, ask: Ask) -> Iterator[httpx.Response]:
        """A reply of success, its body still to be read."""
        try:
            with ask.arguments() as arguments, self._http.stream(**arguments) as response:
                if not response.is_success:
                    response.read()
                    check(response)
                yield response
        except httpx.TransportError as error:
            raise broken(error, self._http.base_url) from error


class AsyncClient:
    """As Client, for asyncio."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout_s: float = 60, attempts: int = 4):
        self._http = _opened(httpx.AsyncClient, url, timeout_s)
        self._attempts = attempts

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def lift(
        self,
        keypoints: ArrayLike,
        *,
        image_size: tuple[int, int],
        fps: float,
        skeleton: str = "h36m17",
        **options: Any,
    ) -> Lifted:
        ask = ask_lift(keypoints, image_size, fps, skeleton, options)
        return read_lifted(await self._send(ask))

    async def lift_video(self, video: Path, **options: Any) -> VideoResult:
        job = await self.submit(video, options)
        await self.wait(job.id)
        return await self.result(job.id)

    async def submit(
        self,
        video: Path,
        options: Mapping[str, Any] | None = None,
        *,
        progress: UploadProgress | None = None,
        key: str | None = None,
    ) -> Job:
        return read_job(await self._send(ask_video(video, options or {}, key, progress)))

    async def job(self, id: str) -> Job:
        return read_job(await self._send(ask_job(id)))

    async def follow(self, id: str) -> AsyncIterator[Job]:
        while True:
            try:
                async with aconnect_sse(self._http, "GET", events_of(id)) as events:
                    async for event in events.aiter_sse():
                        yield (job := read_job(event.data))
                        if job.ended:
                            return
            except UNHEARD:
                pass
            yield (job := await self.job(id))
            if job.ended:
                return
            await asyncio.sleep(POLL_S)

    async def wait(self, id: str) -> Job:
        async for job in self.follow(id):
            last = job
        return last.check()

    async def result(self, id: str) -> VideoResult:
        with tempfile.TemporaryDirectory(prefix="poselift-") as folder:
            path = Path(folder) / "result.npz"
            await self.save_result(id, path, "npz")
            return await asyncio.to_thread(read_npz, path)

    async def save_result(
        self,
        id: str,
        path: Path,
        format: str = "json",
        person: int | None = None,
        space: str | None = None,
    ) -> None:
        await self._save(ask_result(id, format, person, space), path)

    async def save_overlay(self, id: str, path: Path) -> None:
        await self._save(ask_overlay(id), path)

    async def cancel(self, id: str) -> None:
        await self._send(ask_cancel(id))

    async def _send(self, ask: Ask) -> bytes:
        attempts = AsyncRetrying(**retrying(1 if ask.once else self._attempts))
        return await attempts(partial(self._sent, ask))

    async def _sent(self, ask: Ask) -> bytes:
        async with self._reply(ask) as response:
            return await response.aread()

    async def _save(self, ask: Ask, path: Path) -> None:
        attempts = AsyncRetrying(**retrying(self._attempts))
        with written_whole(path) as part:
            pause_s: float
            while pause_s := await attempts(partial(self._downloaded, ask, part)):
                await asyncio.sleep(pause_s)

    async def _downloaded(self, ask: Ask, part: Path) -> float:
        async with self._reply(ask) as response:
            with part.open("wb") as file:
                async for chunk in response.aiter_bytes():
                    file.write(chunk)
            return pause_of(response)

    @asynccontextmanager
    async def _reply(self, ask: Ask) -> AsyncIterator[httpx.Response]:
        try:
            with ask.arguments() as arguments:
                async with self._http.stream(**arguments) as response:
                    if not response.is_success:
                        await response.aread()
                        check(response)
                    yield response
        except httpx.TransportError as error:
            raise broken(error, self._http.base_url) from error
