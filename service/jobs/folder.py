"""The jobs folder: uploads, the files of each job, and a lock against a second server.

lock, jobs.sqlite           the server's lock and store
incoming/*.upload           uploads in progress
media/<job>/video           an accepted upload
media/<job>/attempt-<n>/    output of a worker; never served
media/<job>/result.json     and other files: complete, or absent
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
        """Create the folder if it is missing, and lock it. Raises InvalidInput if it cannot be
        used, or another server uses it."""
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
                f"POSELIFT_JOBS_FOLDER: another server uses {self.path}; each needs its own",
                ("jobs_folder",),
            ) from error

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def sweep(self, ids: Collection[str]) -> None:
        """Remove what an earlier server left: partial uploads, unfinished attempts, and the files
        of all jobs but `ids`."""
        for upload in self.incoming.iterdir():
            upload.unlink()
        for files in self.media.iterdir():
            if files.name not in ids:
                shutil.rmtree(files)
                continue
            for attempt in files.glob("attempt-*"):
                shutil.rmtree(attempt)

    def check_space(self, new_bytes: int = 0) -> None:
        """Raises StorageFull if less than POSELIFT_MIN_FREE_MB would be left."""
        free = shutil.disk_usage(self.path).free
        if free - new_bytes < self._min_free_bytes:
            raise StorageFull(
                f"{free / MB:.0f} MB are free on the disk, {self._min_free_bytes / MB:.0f} MB must "
                "stay free; try again when results have expired"
            )

    @contextmanager
    def upload(self) -> Iterator[Path]:
        """An empty file for an upload; removed at the end of the context unless accepted."""
        descriptor, name = tempfile.mkstemp(suffix=".upload", dir=self.incoming)
        os.close(descriptor)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def accept(self, upload: Path, id: str) -> None:
        """Move an upload to a job."""
        self.files(id).mkdir()
        os.replace(upload, self.video(id))
        _sync(self.files(id))
        _sync(self.media)

    def files(self, id: str) -> Path:
        return self.media / id

    def video(self, id: str) -> Path:
        return self.files(id) / "video"

    def result(self, id: str, name: str) -> Path:
        """result.json, result.npz, or a rendition."""
        return self.files(id) / name

    @asynccontextmanager
    async def attempt(self, id: str, name: str) -> AsyncIterator[Path]:
        """A folder to write to. At the end of the context its files are moved to the job, synced to
        the disk; after an error they are removed."""
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
