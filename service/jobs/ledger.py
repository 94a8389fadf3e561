"""Every job of this server, in memory and on disk, and notification of changes."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from service.errors import Conflict, NotFound, WorkerLost
from service.jobs.job import FAILED, QUEUED, RUNNING, STATUSES, Job, Progress
from service.jobs.store import Store
from service.wire.problems import problem


class Entry:
    """The current state of a job."""

    def __init__(self, job: Job):
        self.job = job
        self.progress: Progress | None = None
        self._changed = asyncio.Event()

    def change(self, job: Job | None = None, progress: Progress | None = None) -> None:
        """Set both and notify the waiting readers."""
        self.job = job or self.job
        self.progress = progress
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def changed(self) -> None:
        await self._changed.wait()


class Ledger:
    """The jobs by id. A change is stored on disk before readers are notified."""

    def __init__(self, attempts: int):
        self._attempts = attempts
        self._entries: dict[str, Entry] = {}
        self._keys: dict[str, str] = {}
        self._store: Store | None = None
        self._closing = False
        # one thread, to keep the order of the changes
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="jobs")

    def open(self, store: Store) -> None:
        """Load the jobs of an earlier server: running jobs are queued again, or fail after too many
        attempts."""
        self._store = store
        for stored in store.load():
            job = _recovered(stored, self._attempts)
            if job != stored:
                store.save(job)
            self._add(job)

    def _add(self, job: Job) -> Entry:
        entry = self._entries[job.id] = Entry(job)
        if job.key is not None:
            self._keys[job.key] = job.id
        return entry

    def __getitem__(self, id: str) -> Entry:
        """Raises NotFound."""
        try:
            return self._entries[id]
        except KeyError:
            raise NotFound(f"there is no job {id[:64]!r}; it may have expired") from None

    def newest_first(self) -> list[Entry]:
        return list(reversed(self._entries.values()))

    def with_status(self, status: str) -> list[Entry]:
        """The oldest first."""
        return [entry for entry in self._entries.values() if entry.job.status == status]

    def unfinished(self) -> int:
        return sum(not entry.job.ended for entry in self._entries.values())

    def counts(self) -> dict[str, int]:
        counts = Counter(entry.job.status for entry in self._entries.values())
        return {status: counts[status] for status in STATUSES}

    def keyed(self, key: str | None, digest: str) -> Entry | None:
        """The job of an earlier request with this Idempotency-Key; raises Conflict if its video or
        options differ."""
        if key is None or key not in self._keys:
            return None
        entry = self._entries[self._keys[key]]
        if entry.job.digest != digest:
            raise Conflict(
                f"the Idempotency-Key {key[:64]!r} belongs to job {entry.job.id}, which has "
                "another video or other options; use another key"
            )
        return entry

    async def add(self, job: Job) -> Entry:
        await self._write(lambda store: store.save(job))
        return self._add(job)

    async def save(self, job: Job) -> None:
        """Raises NotFound if the job was removed meanwhile, and StorageFull."""
        entry = self[job.id]
        await self._write(lambda store: store.save(job))
        entry.change(job)

    async def remove(self, id: str) -> None:
        await self._write(lambda store: store.remove(id))
        entry = self._entries.pop(id, None)
        if entry is not None and entry.job.key is not None:
            self._keys.pop(entry.job.key, None)

    async def _write(self, write: Callable[[Store], None]) -> None:
        assert self._store is not None
        await asyncio.get_running_loop().run_in_executor(self._disk, write, self._store)

    async def changes(self, entry: Entry) -> AsyncIterator[Entry]:
        """The job now, and at each change until it has ended or the server stops. A slow reader
        may miss changes, never the last."""
        yield entry
        while not (entry.job.ended or self._closing):
            await entry.changed()
            yield entry

    async def ended(self, entry: Entry, within_s: float) -> None:
        """Wait until the job has ended, the server stops, or `within_s` has passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                async for _ in self.changes(entry):
                    pass

    def release(self) -> None:
        """Release all readers: the server stops."""
        self._closing = True
        for entry in self._entries.values():
            entry.change(progress=entry.progress)

    async def close(self) -> None:
        """Queue running jobs again, without counting the attempt."""
        for entry in self.with_status(RUNNING):
            job = entry.job
            await self.save(replace(job, status=QUEUED, attempts=job.attempts - 1))
        await asyncio.to_thread(self._disk.shutdown)
        if self._store is not None:
            self._store.close()


def _recovered(job: Job, attempts: int) -> Job:
    if job.status != RUNNING:
        return job
    if job.attempts < attempts:
        return replace(job, status=QUEUED)
    lost = WorkerLost(f"the service ended {job.attempts} times while it worked on this video")
    return replace(job, status=FAILED, error=problem(lost), ended_s=time.time())
