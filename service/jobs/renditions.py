"""What is made of a job's result when it is first asked for, and then kept: other formats, and the
overlay. A worker of its own makes them, so that they wait behind no video."""

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
    """Makes one at a time; those who ask for the same one wait for the same work."""

    def __init__(self, folder: JobsFolder, settings: Settings):
        self._folder = folder
        self._limits = Limits.of_jobs(settings)
        self._worker = WorkerProcess(settings)
        self._turn = asyncio.Lock()
        self._under_way: dict[Path, asyncio.Task[None]] = {}

    async def get(
        self, job: Job, name: str, task: Mapping[str, Any], within_s: float
    ) -> Path | None:
        """The file of that name among the job's, made by a worker's `task` where it is not there;
        None where that takes longer. Raises StorageFull, Overloaded, and as a worker does."""
        path = self._folder.result(job.id, name)
        if path.is_file():
            return path
        making = self._under_way.get(path) or self._begin(job, path, task)
        with suppress(TimeoutError):
            # those who stop waiting leave the work to the others
            await asyncio.wait_for(asyncio.shield(making), within_s)
            return path
        return None

    def _begin(self, job: Job, path: Path, task: Mapping[str, Any]) -> asyncio.Task[None]:
        if len(self._under_way) >= MAX_WAITING:
            raise Overloaded(
                f"{MAX_WAITING} files are being made of results, as many as may be", RETRY_AFTER_S
            )
        self._folder.check_space()
        making = self._under_way[path] = asyncio.create_task(self._make(job, path, task))
        making.add_done_callback(lambda done: self._forget(path, done))
        return making

    def _forget(self, path: Path, done: asyncio.Task[None]) -> None:
        del self._under_way[path]
        # whoever still waits hears of a failure; else the next who asks begins anew
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
        """End whatever is being made of a job's result."""
        files = self._folder.files(job.id)
        await _cancelled(making for path, making in self._under_way.items() if path.parent == files)

    async def stop(self) -> None:
        await _cancelled(self._under_way.values())
        await self._worker.close()


async def _cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = set(tasks)
    for task in ending:
        task.cancel()
    if ending:
        await asyncio.wait(ending)
