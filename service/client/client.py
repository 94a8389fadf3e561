"""The service from Python: `Client`, and `AsyncClient` with the same methods to await.

AsyncClient is the implementation. Client runs its coroutines over a transport that blocks, so that
none of them ever suspends.
"""

import asyncio
import io
import secrets
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, Concatenate, ParamSpec, Self, TypeVar

import httpx
from httpx_sse import SSEError, aconnect_sse
from numpy.typing import ArrayLike
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

from model import InvalidInput, VideoResult, read_npz, written_whole
from service.client.messages import (
    POLL_S,
    RESULT_WAIT,
    Job,
    Lifted,
    Request,
    UploadProgress,
    connection_error,
    is_temporary,
    lift_request,
    pause_s,
    problem,
    read_job,
    read_lifted,
    retry_pause_s,
)

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8000"


class AsyncClient:
    """A service at `url`. `timeout_s` is how long the service may stay silent; a request that may
    succeed later is made up to `attempts` times. Close it, or use it in an `async with`."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout_s: float = 60, attempts: int = 4):
        self._attempts = attempts
        try:
            self._http = httpx.AsyncClient(
                base_url=url, timeout=timeout_s, transport=self._transport()
            )
        except httpx.InvalidURL as error:
            raise InvalidInput(f"{url}: {error}") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def lift(
        self,
        /,
        keypoints: ArrayLike,
        *,
        image_size: tuple[int, int],
        fps: float,
        skeleton: str = "h36m17",
        **options: Any,
    ) -> Lifted:
        """Lift 2D keypoints (T, J, 2 or 3), x, y px and score, NaN where not seen, to 3D poses; the
        options are those of POST /lift."""
        request = lift_request(keypoints, image_size, fps, skeleton, options)
        return read_lifted(await self._send(request))

    async def lift_video(self, /, video: Path, **options: Any) -> VideoResult:
        """Lift every person in a video file; the options are those of POST /video."""
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
        """Upload a video, streamed from the disk, as a new job. Calls with the same `key`, video
        and options return the same job."""
        headers = {"Prefer": "respond-async", "Idempotency-Key": key or secrets.token_hex(16)}
        request = Request("POST", "/video", options or {}, headers, upload=video, progress=progress)
        return read_job(await self._send(request))

    async def job(self, id: str) -> Job:
        """The job as it is now."""
        return read_job(await self._send(Request("GET", f"/jobs/{id}")))

    async def follow(self, id: str) -> AsyncGenerator[Job, None]:
        """The job at each change, the last time when it has ended."""
        while True:
            try:
                async with aconnect_sse(self._http, "GET", f"/jobs/{id}/events") as events:
                    async for event in events.aiter_sse():
                        yield (job := read_job(event.data))
                        if job.ended:
                            return
            except (httpx.TransportError, SSEError):
                pass  # without events, poll
            yield (job := await self.job(id))
            if job.ended:
                return
            await self._sleep(POLL_S)

    async def wait(self, id: str) -> Job:
        """Wait until the job has succeeded; raises ServiceProblem if it failed."""
        async for job in self.follow(id):
            last = job
        return last.check()

    async def result(self, id: str) -> VideoResult:
        """The result of a job that has succeeded."""
        with tempfile.TemporaryDirectory(prefix="poselift-") as folder:
            path = Path(folder) / "result.npz"
            await self.save_result(id, path, "npz")
            return await self._read_result(path)

    async def save_result(
        self,
        id: str,
        path: Path,
        format: str = "json",
        person: int | None = None,
        space: str | None = None,
    ) -> None:
        """Write the result to a file, complete or not at all. `person` is an id of the result, for
        formats that hold one person; `space` replaces the space that the video was lifted in."""
        options = {"format": format, "person": person, "space": space}
        await self._save(Request("GET", f"/jobs/{id}/result", options, RESULT_WAIT), path)

    async def save_overlay(self, id: str, path: Path) -> None:
        """Write the video with its poses drawn to an MP4 file, complete or not at all."""
        await self._save(Request("GET", f"/jobs/{id}/overlay", headers=RESULT_WAIT), path)

    async def cancel(self, id: str) -> None:
        """Cancel a job, or delete one that has ended; its files are removed."""
        await self._send(Request("DELETE", f"/jobs/{id}", retry=False))

    async def _send(self, request: Request) -> bytes:
        body = io.BytesIO()
        await self._receive(request, body)
        return body.getvalue()

    async def _save(self, request: Request, path: Path) -> None:
        with written_whole(path) as part, part.open("wb") as file:
            while wait_s := await self._receive(request, file):
                await self._sleep(wait_s)

    async def _receive(self, request: Request, file: BinaryIO) -> float:
        """Write the body to a file; returns the seconds to wait if the result is not ready yet."""
        retrying = AsyncRetrying(
            sleep=self._sleep,
            stop=stop_after_attempt(self._attempts if request.retry else 1),
            retry=retry_if_exception(is_temporary),
            wait=retry_pause_s,
            reraise=True,
        )
        wait_s: float = await retrying(self._attempt, request, file)
        return wait_s

    async def _attempt(self, request: Request, file: BinaryIO) -> float:
        file.seek(0)
        file.truncate()
        try:
            with request.arguments() as arguments:
                async with self._http.stream(**arguments) as response:
                    if not response.is_success:
                        await response.aread()
                        raise problem(response)
                    async for chunk in response.aiter_bytes():
                        file.write(chunk)
                    return pause_s(response)
        except httpx.TransportError as error:
            raise connection_error(error, self._http.base_url) from error

    def _transport(self) -> httpx.AsyncBaseTransport | None:
        return None  # httpx's own

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _read_result(self, path: Path) -> VideoResult:
        return await asyncio.to_thread(read_npz, path)


class _BlockingClient(AsyncClient):
    """An AsyncClient whose coroutines block instead of suspending."""

    def _transport(self) -> httpx.AsyncBaseTransport:
        return _BlockingTransport()

    async def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def _read_result(self, path: Path) -> VideoResult:
        return read_npz(path)


class _BlockingTransport(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self._http = httpx.Client()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = self._http.send(request, stream=True)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_BlockingStream(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        self._http.close()


class _BlockingStream(httpx.AsyncByteStream):
    def __init__(self, response: httpx.Response):
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._response.iter_raw():
            yield part

    async def aclose(self) -> None:
        self._response.close()


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends; needs no event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("a coroutine of the blocking client suspended")


def _blocking(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["Client", P], T]:
    """A method of AsyncClient as one of Client."""

    @wraps(method)
    def run(client: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return _run(method(client._client, *args, **kwargs))

    return run


class Client:
    """A service at `url`. `timeout_s` is how long the service may stay silent; a request that may
    succeed later is made up to `attempts` times. Close it, or use it in a `with`."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout_s: float = 60, attempts: int = 4):
        self._client = _BlockingClient(url, timeout_s=timeout_s, attempts=attempts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    close = _blocking(AsyncClient.close)
    lift = _blocking(AsyncClient.lift)
    lift_video = _blocking(AsyncClient.lift_video)
    submit = _blocking(AsyncClient.submit)
    job = _blocking(AsyncClient.job)
    wait = _blocking(AsyncClient.wait)
    result = _blocking(AsyncClient.result)
    save_result = _blocking(AsyncClient.save_result)
    save_overlay = _blocking(AsyncClient.save_overlay)
    cancel = _blocking(AsyncClient.cancel)

    def follow(self, id: str) -> Iterator[Job]:
        """The job at each change, the last time when it has ended."""
        jobs = self._client.follow(id)
        try:
            while True:
                yield _run(jobs.__anext__())
        except StopAsyncIteration:
            return
        finally:
            _run(jobs.aclose())
