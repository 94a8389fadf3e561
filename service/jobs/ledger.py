"""Every job of this server, in memory and on disk alike, and who waits for a change of it."""

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
    """A job as it is now."""

    def __init__(self, job: Job):
        self.job = job
        self.progress: Progress | None = None
        self._changed = asyncio.Event()

    def change(self, job: Job | None = None, progress: Progress | None = None) -> None:
        """Both as they are from now on; wakes everybody who waits."""
        self.job = job or self.job
        self.progress = progress
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def changed(self) -> None:
        await self._changed.wait()


class Ledger:
    """The store's jobs by id. A change is on the disk before anybody hears of it."""

    def __init__(self, attempts: int):
        self._attempts = attempts
        self._entries: dict[str, Entry] = {}
        self._keys: dict[str, str] = {}
        self._store: Store | None = None
        self._closing = False
        # one thread, so that changes reach the disk in the order in which they were made
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="jobs")

    def open(self, store: Store) -> None:
        """Take over what an earlier server left: work that it had begun begins again, unless it
        was begun too often."""
        self._store = store
        for found in store.load():
            job = _recovered(found, self._attempts)
            if job != found:
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
        found = Counter(entry.job.status for entry in self._entries.values())
        return {status: found[status] for status in STATUSES}

    def keyed(self, key: str | None, digest: str) -> Entry | None:
        """The job that an earlier request with this Idempotency-Key made; raises Conflict where
        that one had another video or other options."""
        if key is None or key not in self._keys:
            return None
        entry = self._entries[self._keys[key]]
        if entry.job.digest != digest:
            raise Conflict(
                f"the Idempotency-Key {key[:64]!r} belongs to job {entry.job.id}, which has "
                "another video or other options; choose another key"
            )
        return entry

    async def add(self, job: Job) -> Entry:
        await self._write(lambda store: store.save(job))
        return self._add(job)

    async def save(self, job: Job) -> None:
        """Raises NotFound for a job that was removed meanwhile, StorageFull."""
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
        misses what lies between, never the last."""
        yield entry
        while not (entry.job.ended or self._closing):
            await entry.changed()
            yield entry

    async def ended(self, entry: Entry, within_s: float) -> None:
        """Wait until the job has ended, for so long at most, or until the server stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                async for _ in self.changes(entry):
                    pass

    def release(self) -> None:
        """Nobody waits any longer: the server stops."""
        self._closing = True
        for entry in self._entries.values():
            entry.change(progress=entry.progress)

    async def close(self) -> None:
        """Jobs at work are queued again; that does not count as an attempt."""
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
