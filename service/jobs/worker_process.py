"""A worker process from the server's side: started on demand, watched, and replaced."""

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
import psutil

from model import PoseError, UnreadableVideo
from service.errors import OverLimit, Refused, WorkerLost
from service.jobs.job import Progress
from service.settings import MB, Settings

TICK_S = 0.25
"""Between two checks of the limits of a running task."""
START_S = 120
"""A worker that is not ready after this time is replaced."""
_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Limits:
    """Limits of one task; a task without progress for `stall_s` counts as hung."""

    memory_bytes: int
    cpu_s: float
    wall_s: float
    stall_s: float

    @staticmethod
    def of_jobs(settings: Settings) -> "Limits":
        return Limits(
            memory_bytes=int(settings.job_memory_mb * MB),
            cpu_s=settings.job_cpu_s,
            wall_s=settings.job_wall_s,
            stall_s=settings.job_stall_s,
        )


class WorkerProcess:
    """Runs one task at a time; `trouble` is the error of its start, if it had one."""

    def __init__(self, settings: Settings, *, lifts: bool = False):
        self._first = orjson.dumps({"settings": settings.model_dump(mode="json"), "lifts": lifts})
        self._process: Process | None = None
        self.trouble: str | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process if it is not running, and wait until it is warm; raises WorkerLost."""
        if self.alive:
            return
        # a new session: Ctrl-C must reach only the server, which then ends its workers
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service.jobs.worker"),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,
        )
        ready = False
        try:
            async with asyncio.timeout(START_S):
                self._send(self._first)
                self.trouble = (await self._receive())["trouble"]
            ready = True
        except TimeoutError:
            raise WorkerLost(f"a worker was not ready after {START_S} s") from None
        finally:
            if not ready:
                await self.close()

    async def run(
        self, task: Mapping[str, Any], limits: Limits, on_progress: OnProgress | None = None
    ) -> Any:
        """The worker's result of a task. Raises Refused, OverLimit, UnreadableVideo and WorkerLost.
        Cancelling it ends the process."""
        await self.start()
        watch = _Watch(self, limits)
        watching = asyncio.create_task(watch.run())
        ended = False
        try:
            self._send(orjson.dumps(task))
            message = await self._result(watch, on_progress)
            ended = True
        except WorkerLost as lost:
            raise watch.reason or lost from None
        finally:
            watching.cancel()
            if not ended:
                await self.close()
        if "problem" in message:
            raise Refused(message["problem"])
        return message["done"]

    async def _result(self, watch: "_Watch", on_progress: OnProgress | None) -> Any:
        while "progress" in (message := await self._receive()):
            watch.progressed()
            if on_progress:
                on_progress(Progress(*message["progress"]))
        return message

    def _send(self, line: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None
        # reading notices that the process has ended
        with suppress(ConnectionError):
            self._process.stdin.write(line + b"\n")

    async def _receive(self) -> Any:
        assert self._process is not None and self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise _ending(await self._process.wait())
        return orjson.loads(line)

    def kill(self) -> None:
        if self.alive:
            assert self._process is not None
            with suppress(ProcessLookupError):
                self._process.kill()

    def usage(self) -> tuple[int, float]:
        """Resident memory in bytes, and CPU time in s since it started; raises psutil.Error."""
        assert self._process is not None
        process = psutil.Process(self._process.pid)
        times = process.cpu_times()
        return process.memory_info().rss, times.user + times.system

    async def close(self) -> None:
        """End the process and wait for it: the next task needs a new one."""
        self.kill()
        if self._process is not None:
            await self._process.wait()


class _Watch:
    """Kills a worker that exceeds its limits, and stores the reason."""

    def __init__(self, worker: WorkerProcess, limits: Limits):
        self.reason: PoseError | None = None
        self._worker = worker
        self._limits = limits
        self._start_s = self._progress_s = time.monotonic()
        self._start_cpu_s: float | None = None

    def progressed(self) -> None:
        self._progress_s = time.monotonic()

    async def run(self) -> None:
        with suppress(psutil.Error):
            while (reason := self._exceeded(*self._worker.usage())) is None:
                await asyncio.sleep(TICK_S)
            self.reason = reason
            self._worker.kill()

    def _exceeded(self, memory_bytes: int, cpu_s: float) -> PoseError | None:
        limits, now_s = self._limits, time.monotonic()
        if self._start_cpu_s is None:
            self._start_cpu_s = cpu_s
        if memory_bytes > limits.memory_bytes:
            return OverLimit(
                f"the video takes more memory than a job may, {limits.memory_bytes / MB:.0f} MB; "
                "send a video that is smaller or shorter"
            )
        for name, used_s, allowed_s in (
            ("CPU time", cpu_s - self._start_cpu_s, limits.cpu_s),
            ("time", now_s - self._start_s, limits.wall_s),
        ):
            if used_s > allowed_s:
                return OverLimit(
                    f"the video takes more {name} than a job may, {allowed_s:g} s; "
                    "send a shorter video"
                )
        if now_s - self._progress_s > limits.stall_s:
            return WorkerLost(f"the worker made no progress for {limits.stall_s:g} s and was ended")
        return None


def _ending(status: int) -> PoseError:
    """The error for an exit status: of the video, or of the worker."""
    if status >= 0:
        return WorkerLost(f"the worker ended with exit status {status}")
    name = signal.Signals(-status).name
    if -status in _CRASHES:
        return UnreadableVideo(f"a worker crashed ({name}) while it read the video")
    return WorkerLost(f"the worker was killed ({name})")
