"""Video jobs: from an accepted upload to the expiry of its result."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any

from model import VideoOptions
from service.errors import Conflict, Gone, NotFound, Overloaded, Refused, StorageFull, WorkerLost
from service.jobs.dispatcher import Dispatcher
from service.jobs.folder import JobsFolder
from service.jobs.job import CANCELLED, FAILED, Job, job_document
from service.jobs.ledger import Entry, Ledger
from service.jobs.renditions import Renditions
from service.jobs.store import Store
from service.jobs.uploads import Upload
from service.jobs.worker_process import Limits, WorkerProcess
from service.settings import Settings
from service.telemetry import Telemetry

RETRY_AFTER_S = 20
CHECK_LIMITS = Limits(memory_bytes=2_000_000_000, cpu_s=20, wall_s=30, stall_s=30)
"""Opening a container and decoding one frame."""
MAX_EXPIRY_TICK_S = 60.0
HOUR_S = 3600

_log = logging.getLogger("poselift")


@dataclass(frozen=True)
class JobRequest:
    """What to do with a video: the model's name, and options."""

    model: str
    options: VideoOptions

    def digest(self, content_sha256: str) -> str:
        document = {"content": content_sha256, **asdict(self)}
        return sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


class Jobs:
    """The jobs of one server."""

    def __init__(self, settings: Settings, telemetry: Telemetry):
        self.folder = JobsFolder(settings.jobs_path, settings.min_free_bytes)
        self.ledger = Ledger(settings.job_attempts)
        self.renditions = Renditions(self.folder, settings)
        self._settings = settings
        self._telemetry = telemetry
        self._dispatcher = Dispatcher(self.ledger, self.folder, settings, telemetry)
        self._checker = WorkerProcess(settings)
        self._checks = asyncio.Lock()
        self._accepting = asyncio.Lock()
        self._uploading = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = False

    @property
    def trouble(self) -> str | None:
        """Why jobs cannot run; None if they can."""
        return self._dispatcher.trouble

    def open(self) -> None:
        """Lock the folder and load its jobs; raises InvalidInput. Does nothing if already open."""
        if self._open:
            return
        self.folder.open()
        try:
            self.ledger.open(Store(self.folder.path / "jobs.sqlite"))
        except BaseException:
            self.folder.close()
            raise
        jobs = [entry.job for entry in self.ledger.newest_first()]
        self.folder.sweep({job.id for job in jobs if job.has_files})
        self._open = True

    def start(self) -> None:
        self._dispatcher.start()
        self._tasks = {
            asyncio.create_task(self._expire_regularly()),
            asyncio.create_task(self._warm_checker()),
        }

    async def stop(self) -> None:
        """Stop all work; running jobs are queued for the next server."""
        self.ledger.release()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.renditions.stop()
        await self._dispatcher.stop()
        await self._checker.close()
        await self.ledger.close()
        self.folder.close()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Reserve capacity for one job, from before its upload; raises Overloaded."""
        settings = self._settings
        unfinished = self._uploading + self.ledger.unfinished()
        if unfinished >= settings.videos_at_once + settings.videos_waiting:
            raise Overloaded(
                f"the limit of {unfinished} videos in progress is reached; "
                f"try again in {RETRY_AFTER_S} s",
                RETRY_AFTER_S,
            )
        self._uploading += 1
        try:
            yield
        finally:
            self._uploading -= 1

    async def accept(self, upload: Upload, request: JobRequest, key: str | None) -> Entry:
        """Turn an upload into a job: check it in another process, then store it on disk, then queue
        it. Raises Conflict, and as open_video does."""
        digest = request.digest(upload.sha256)
        if known := self.ledger.keyed(key, digest):
            return known
        video = await self._check(upload)
        async with self._accepting:
            # another request with this key may have been accepted meanwhile
            if known := self.ledger.keyed(key, digest):
                return known
            job = Job(
                digest=digest,
                model=request.model,
                options=asdict(request.options),
                video=video,
                created_s=time.time(),
                key=key,
            )
            await asyncio.to_thread(self.folder.accept, upload.path, job.id)
            try:
                entry = await self.ledger.add(job)
            except StorageFull:
                self.folder.remove(job.id)
                raise
            self._dispatcher.enqueue(job)
        return entry

    async def _check(self, upload: Upload) -> Any:
        task = {"work": "check", "video": str(upload.path)}
        async with self._checks:
            return await self._checker.run(task, CHECK_LIMITS)

    async def _warm_checker(self) -> None:
        # if it does not start, the first upload reports why
        with suppress(WorkerLost):
            async with self._checks:
                await self._checker.start()

    def document(self, entry: Entry) -> dict[str, Any]:
        return job_document(entry.job, entry.progress, self._settings.results_kept_h * HOUR_S)

    def check_result(self, job: Job) -> None:
        """Raises Conflict, Refused or Gone if the job has no result to send."""
        if job.status == FAILED:
            raise Refused(job.error or {})
        if job.status == CANCELLED:
            raise Gone(f"job {job.id} was cancelled; it has no result")
        if not job.ended:
            raise Conflict(f"job {job.id} is {job.status}; wait until it has succeeded")
        if not job.has_files:
            raise Gone(f"the result of job {job.id} has expired")

    async def remove(self, entry: Entry) -> bool:
        """Cancel a job, or delete it if it has ended; its files are removed. Returns whether it was
        cancelled."""
        ended = entry.job.ended
        if ended:
            await self.renditions.cancel(entry.job)
            await self.ledger.remove(entry.job.id)
        else:
            await self._dispatcher.cancel(entry)
            await self.ledger.save(replace(entry.job, has_files=False))
        await asyncio.to_thread(self.folder.remove, entry.job.id)
        return not ended

    async def _expire_regularly(self) -> None:
        tick_s = min(MAX_EXPIRY_TICK_S, self._settings.results_kept_h * HOUR_S / 4)
        while True:
            try:
                await self._expire(time.time())
            except (StorageFull, NotFound) as error:
                _log.error("expired jobs cannot be removed: %s", error)
            await asyncio.sleep(tick_s)

    async def _expire(self, now_s: float) -> None:
        """Remove files first, jobs later; above the limit of jobs, the oldest first."""
        settings = self._settings
        ended = [e.job for e in reversed(self.ledger.newest_first()) if e.job.ended]
        surplus = len(self.ledger.newest_first()) - settings.jobs_kept
        for place, job in enumerate(ended):
            age_h = (now_s - (job.ended_s or now_s)) / HOUR_S
            if place < surplus or age_h > settings.results_kept_h + settings.jobs_kept_h:
                await self.ledger.remove(job.id)
            elif job.has_files and age_h > settings.results_kept_h:
                await self.ledger.save(replace(job, has_files=False))
            else:
                continue
            await self.renditions.cancel(job)
            await asyncio.to_thread(self.folder.remove, job.id)
