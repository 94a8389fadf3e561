"""The jobs on disk: one SQLite table, synced to the disk at each change."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    text,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DatabaseError, OperationalError

from model import InvalidInput
from service.errors import StorageFull
from service.jobs.job import Job

VERSION = 1
"""Of the table; a store of another version is rejected."""

_metadata = MetaData()
_jobs = Table(
    "jobs",
    _metadata,
    Column("id", String, primary_key=True),
    Column("key", String, unique=True),
    Column("digest", String, nullable=False),
    Column("status", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_s", Float, nullable=False),
    Column("ended_s", Float),
    Column("model", String, nullable=False),
    Column("options", JSON, nullable=False),
    Column("video", JSON, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("has_files", Boolean, nullable=False),
)


class Store:
    """For one process, and one thread at a time."""

    def __init__(self, path: Path):
        """Raises InvalidInput if the file is not a store of this version."""
        self._path = path
        self._engine = create_engine(URL.create("sqlite", database=str(path)))
        event.listen(self._engine, "connect", _make_durable)
        try:
            with self._engine.begin() as connection:
                self._check_version(connection)
        except DatabaseError as error:
            raise InvalidInput(
                f"the job store {path} cannot be read ({error.orig}); move it away, or set "
                "another POSELIFT_JOBS_FOLDER",
                ("jobs_folder",),
            ) from error

    def _check_version(self, connection: Connection) -> None:
        version = connection.execute(text("PRAGMA user_version")).scalar_one()
        if version not in (0, VERSION):
            raise InvalidInput(
                f"the job store {self._path} has version {version}, expected {VERSION}; set "
                "another POSELIFT_JOBS_FOLDER",
                ("jobs_folder",),
            )
        _metadata.create_all(connection)
        connection.execute(text(f"PRAGMA user_version = {VERSION}"))

    def load(self) -> list[Job]:
        """Every job, the oldest first."""
        with self._engine.begin() as connection:
            rows = connection.execute(_jobs.select().order_by(_jobs.c.created_s))
            return [Job(**row._mapping) for row in rows]

    def save(self, job: Job) -> None:
        """Insert or update one job; raises StorageFull."""
        row = asdict(job)
        statement = insert(_jobs).values(row)
        with self._writing() as connection:
            connection.execute(statement.on_conflict_do_update(["id"], set_=row))

    def remove(self, id: str) -> None:
        with self._writing() as connection:
            connection.execute(_jobs.delete().where(_jobs.c.id == id))

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except OperationalError as error:
            raise StorageFull(f"the job store cannot be written to: {error.orig}") from error


def _make_durable(connection: Any, _: object) -> None:
    """Committed changes survive a crash of the process and of the machine."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
