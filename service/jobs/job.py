"""A video job, its progress, and its JSON document."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = STATUSES = (
    "queued",
    "running",
    "succeeded",
    "failed",
    "cancelled",
)


@dataclass(frozen=True)
class Job:
    """One row of the store.

    digest: SHA-256 of the video and the options; key: the Idempotency-Key; options: VideoOptions by
    name; video: VideoInfo by name, from the container's headers; attempts: how often it was
    started; error: a problem document; times in s since 1970; has_files: not expired.
    """

    digest: str
    model: str
    options: Mapping[str, Any]
    video: Mapping[str, Any]
    created_s: float
    key: str | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    status: str = QUEUED
    attempts: int = 0
    ended_s: float | None = None
    error: Mapping[str, Any] | None = None
    has_files: bool = True

    @property
    def ended(self) -> bool:
        return self.status in (SUCCEEDED, FAILED, CANCELLED)


class Progress(NamedTuple):
    """`done` of `total` frames in this stage; None if unknown."""

    stage: str
    done: int = 0
    total: int | None = None
    remaining_s: float | None = None


def path_of(job: Job) -> str:
    return f"/jobs/{job.id}"


def job_document(job: Job, progress: Progress | None, kept_s: float) -> dict[str, Any]:
    """GET /jobs/{id}; results expire `kept_s` after the end of the job."""
    path = path_of(job)
    document: dict[str, Any] = {
        "id": job.id,
        "status": job.status,
        "progress": (progress or _last_progress(job))._asdict(),
        "created_at": _date(job.created_s),
        "video": job.video,
        "model": job.model,
        "options": job.options,
        "links": {
            "self": path,
            **{name: f"{path}/{name}" for name in ("events", "result", "overlay")},
        },
    }
    if job.ended_s is not None:
        document["ended_at"] = _date(job.ended_s)
        if job.has_files:
            document["expires_at"] = _date(job.ended_s + kept_s)
    return document if job.error is None else {**document, "error": job.error}


def _last_progress(job: Job) -> Progress:
    frames = job.video["frames"] or None
    done = frames or 0 if job.status == SUCCEEDED else 0
    return Progress(job.status, done, frames, 0.0 if job.ended else None)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
