"""Files made from a job's result on the first request, then cached: other formats and the overlay.
They have their own worker, so that they do not wait for videos."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.errors import Overloaded
from service.jobs.folder import JobsFolder
from service.jobs.job import Job
from service.jobs.worker_process import Limits, WorkerProcess
from service.settings import Settings

RETRY_AFTER_S = 5
MAX_WAITING = 64


class Renditions:
    """Makes one file at a time; requests for the same file share the work."""

    def __init__(self, folder: JobsFolder, settings: Settings):
        self._folder = folder
        self._limits = Limits.of_jobs(settings)
        self._worker = WorkerProcess(settings)
        self._turn = asyncio.Lock()
        self._in_progress: dict[Path, asyncio.Task[None]] = {}

    async def get(
        self, job: Job, name: str, task: Mapping[str, Any], within_s: float
    ) -> Path | None:
        """The job's file `name`, made by the worker with `task` if missing; None if that takes
        longer than `within_s`. Raises StorageFull, Overloaded, and as a worker does."""
        path = self._folder.result(job.id, name)
        if path.is_file():
            return path
        making = self._in_progress.get(path) or self._begin(job, path, task)
        with suppress(TimeoutError):
            # the work goes on for other requests
            await asyncio.wait_for(asyncio.shield(making), within_s)
            return path
        return None

    def _begin(self, job: Job, path: Path, task: Mapping[str, Any]) -> asyncio.Task[None]:
        if len(self._in_progress) >= MAX_WAITING:
            raise Overloaded(
                f"{MAX_WAITING} files are in progress; try again in {RETRY_AFTER_S} s",
                RETRY_AFTER_S,
            )
        self._folder.check_space()
        making = self._in_progress[path] = asyncio.create_task(self._make(job, path, task))
        making.add_done_callback(lambda done: self._forget(path, done))
        return making

    def _forget(self, path: Path, done: asyncio.Task[None]) -> None:
        del self._in_progress[path]
        # waiting requests get the error; without any, the next request starts again
        if not done.cancelled():
            done.exception()

    async def _make(self, job: Job, path: Path, task: Mapping[str, Any]) -> None:
        async with self._turn, self._folder.attempt(job.id, path.name) as out:
            files = {
                "video": str(self._folder.video(job.id)),
                "result": str(self._folder.result(job.id, "result.npz")),
                "out": str(out / path.name),
            }
            await self._worker.run({**task, **files}, self._limits)

    async def cancel(self, job: Job) -> None:
        """Stop the work on a job's files."""
        files = self._folder.files(job.id)
        await _cancel_all(
            making for path, making in self._in_progress.items() if path.parent == files
        )

    async def stop(self) -> None:
        await _cancel_all(self._in_progress.values())
        await self._worker.close()


async def _cancel_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    cancelled = set(tasks)
    for task in cancelled:
        task.cancel()
    if cancelled:
        await asyncio.wait(cancelled)
