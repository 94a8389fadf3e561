"""The jobs folder: uploads on their way in, each job's files, and the lock that keeps other servers
out of it.

    lock, jobs.sqlite           held by the one server; its store
    incoming/*.upload           uploads under way
    media/<job>/video           an accepted upload
    media/<job>/attempt-<n>/    what a worker writes; nothing in it is ever served
    media/<job>/result.json     and other files: complete, or not there
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO

from model import InvalidInput
from service.errors import StorageFull
from service.settings import MB


class JobsFolder:
    def __init__(self, path: Path, min_free_bytes: int):
        self.path = path
        self.incoming = path / "incoming"
        self.media = path / "media"
        self._min_free_bytes = min_free_bytes
        self._lock: BinaryIO | None = None

    def open(self) -> None:
        """Make it where it is missing, and lock it. Raises InvalidInput where it cannot be used, or
        another server uses it."""
        try:
            for folder in (self.incoming, self.media):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = (self.path / "lock").open("ab")
        except OSError as error:
            raise InvalidInput(
                f"POSELIFT_JOBS_FOLDER: {error.filename}: {error.strerror}", ("jobs_folder",)
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise InvalidInput(
                f"POSELIFT_JOBS_FOLDER: another server uses {self.path}; give each its own",
                ("jobs_folder",),
            ) from error

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def sweep(self, kept: Collection[str]) -> None:
        """Remove what an earlier server left: uploads under way, unfinished attempts, and the files
        of jobs that are not in `kept`."""
        for upload in self.incoming.iterdir():
            upload.unlink()
        for files in self.media.iterdir():
            if files.name not in kept:
                shutil.rmtree(files)
                continue
            for attempt in files.glob("attempt-*"):
                shutil.rmtree(attempt)

    def check_space(self, coming_bytes: int = 0) -> None:
        """Raises StorageFull where less than the settings' reserve would be left."""
        free = shutil.disk_usage(self.path).free
        if free - coming_bytes < self._min_free_bytes:
            raise StorageFull(
                f"{free / MB:.0f} MB are free on the disk, of which "
                f"{self._min_free_bytes / MB:.0f} MB stay free; try again when results have expired"
            )

    @contextmanager
    def upload(self) -> Iterator[Path]:
        """An empty file for an upload; gone when the context ends, unless `take_in` took it."""
        descriptor, name = tempfile.mkstemp(suffix=".upload", dir=self.incoming)
        os.close(descriptor)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def take_in(self, upload: Path, id: str) -> None:
        """Make an upload a job's video."""
        self.files(id).mkdir()
        os.replace(upload, self.video(id))
        _sync(self.files(id))
        _sync(self.media)

    def files(self, id: str) -> Path:
        return self.media / id

    def video(self, id: str) -> Path:
        return self.files(id) / "video"

    def result(self, id: str, name: str) -> Path:
        """result.json, result.npz, or what was made of them."""
        return self.files(id) / name

    @asynccontextmanager
    async def attempt(self, id: str, name: str) -> AsyncIterator[Path]:
        """A folder to write to. At the end of the context its files become the job's, each
        complete and on the disk; if it fails, they are gone."""
        attempt = self.files(id) / f"attempt-{name}"
        attempt.mkdir()
        try:
            yield attempt
            await asyncio.to_thread(self._publish, id, attempt)
        finally:
            shutil.rmtree(attempt, ignore_errors=True)

    def _publish(self, id: str, attempt: Path) -> None:
        for file in attempt.iterdir():
            _sync(file)
            os.replace(file, self.result(id, file.name))
        _sync(self.files(id))

    def remove(self, id: str) -> None:
        shutil.rmtree(self.files(id), ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
