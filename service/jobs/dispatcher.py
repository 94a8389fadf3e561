"""Runs queued jobs on worker processes: one job per worker, the oldest job first."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from typing import Any

from model import PoseError
from service.errors import NotFound, StorageFull, WorkerLost
from service.jobs.folder import JobsFolder
from service.jobs.job import CANCELLED, FAILED, QUEUED, RUNNING, SUCCEEDED, Job
from service.jobs.ledger import Entry, Ledger
from service.jobs.worker_process import Limits, WorkerProcess
from service.settings import Settings
from service.telemetry import Telemetry
from service.wire.problems import INTERNAL, STATUS, document, problem

MAX_PAUSE_S = 30.0
"""The longest pause between two attempts to start a worker."""

FULL_PAUSE_S = 5.0

_log = logging.getLogger("poselift")


class Dispatcher:
    """Runs jobs. `trouble` is why no worker is ready, None while one is."""

    def __init__(
        self, ledger: Ledger, folder: JobsFolder, settings: Settings, telemetry: Telemetry
    ):
        self.trouble: str | None = "the first worker is starting"
        self._ledger = ledger
        self._folder = folder
        self._telemetry = telemetry
        self._limits = Limits.of_jobs(settings)
        # a stack: the worker that ran last is warm
        self._idle = [
            WorkerProcess(settings.model_copy(update={"device": device}), lifts=True)
            for device in islice(cycle(settings.device.split(",")), settings.videos_at_once)
        ]
        self._workers = tuple(self._idle)
        self._free = asyncio.Semaphore(len(self._idle))
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        for entry in self._ledger.with_status(QUEUED):
            self.enqueue(entry.job)
        self._tasks = {asyncio.create_task(self._warm()), asyncio.create_task(self._dispatch())}

    def enqueue(self, job: Job) -> None:
        self._queue.put_nowait(job.id)

    async def cancel(self, entry: Entry) -> None:
        """Cancel a job, and stop its worker if it is running."""
        task = self._running.get(entry.job.id)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        if not entry.job.ended:
            self._telemetry.job_ended(CANCELLED)
            await self._ledger.save(replace(entry.job, status=CANCELLED, ended_s=time.time()))

    async def stop(self) -> None:
        tasks = {*self._tasks, *self._running.values()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for worker in self._workers:
            await worker.close()

    async def _warm(self) -> None:
        """Start one worker before the first job arrives."""
        async with self._free:
            worker = self._idle.pop()
            try:
                await self._start_worker(worker)
            finally:
                self._idle.append(worker)

    async def _dispatch(self) -> None:
        while True:
            id = await self._queue.get()
            await self._free.acquire()
            worker = self._idle.pop()
            task = self._running[id] = asyncio.create_task(self._attempt(id, worker))
            task.add_done_callback(partial(self._give_back, id, worker))

    def _give_back(self, id: str, worker: WorkerProcess, _: object) -> None:
        del self._running[id]
        self._idle.append(worker)
        self._free.release()

    async def _attempt(self, id: str, worker: WorkerProcess) -> None:
        try:
            job = self._ledger[id].job
        except NotFound:
            return  # cancelled and removed while queued
        if job.status == QUEUED:
            await self._start_worker(worker)
            job = replace(job, status=RUNNING, attempts=job.attempts + 1)
            await self._save(job)
            await self._work(job, worker)

    async def _work(self, job: Job, worker: WorkerProcess) -> None:
        try:
            frames = await self._lift(job, worker)
        except PoseError as error:
            _log.info("job %s failed: %s", job.id, error)
            await self._end(job, FAILED, problem(error))
        except OSError:
            _log.exception("job %s failed", job.id)
            await self._end(job, FAILED, document(STATUS[PoseError], INTERNAL))
        else:
            self._telemetry.lifted(frames)
            await self._end(job, SUCCEEDED)

    async def _lift(self, job: Job, worker: WorkerProcess) -> int:
        entry = self._ledger[job.id]
        async with self._folder.attempt(job.id, str(job.attempts)) as out:
            task = {
                "work": "lift",
                "video": str(self._folder.video(job.id)),
                "model": job.model,
                "options": job.options,
                "out": str(out),
            }
            result = await worker.run(task, self._limits, lambda now: entry.change(progress=now))
        frames: int = result["frames"]
        return frames

    async def _end(self, job: Job, status: str, error: Mapping[str, Any] | None = None) -> None:
        self._telemetry.job_ended(status)
        await self._save(replace(job, status=status, error=error, ended_s=time.time()))

    async def _save(self, job: Job) -> None:
        """A full disk delays a job but does not end it."""
        while True:
            try:
                await self._ledger.save(job)
                return
            except StorageFull as error:
                _log.error("job %s: %s; trying again in %g s", job.id, error, FULL_PAUSE_S)
            await asyncio.sleep(FULL_PAUSE_S)

    async def _start_worker(self, worker: WorkerProcess) -> None:
        """Start a worker, however many attempts it takes: no job is to blame for a failure."""
        pause_s = 1.0
        while True:
            try:
                await worker.start()
            except (WorkerLost, OSError) as error:
                self.trouble = f"no worker can be started: {error}"
                _log.error("%s; trying again in %g s", self.trouble, pause_s)
            else:
                self.trouble = worker.trouble
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)
