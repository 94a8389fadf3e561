"""/jobs: the progress of each video, its result, and its removal."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service.admission.cancellation import run_while_connected
from service.jobs.job import path_of
from service.jobs.ledger import Entry
from service.jobs.renditions import RETRY_AFTER_S
from service.routes.preferences import Wait, Waiting
from service.routes.queries import OPTIONS_ONCE, JobsAsked, ResultAsked, no_options
from service.state import Service
from service.wire.documents import dump
from service.wire.openapi import routes as documented

router = APIRouter()
CHUNK_BYTES = 1_000_000


def job_reply(
    document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(dump(document), status, dict(headers or {}), "application/json")


def result_file(path: Path, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    return FileResponse(path, media_type=media_type, headers=dict(headers or {}))


def named_result(path: Path, document: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """The stored JSON object at `path`, beginning with the job's `id` and `links`."""
    named = dump({name: document[name] for name in ("id", "links")})
    head = named.removesuffix(b"}") + b","
    file = path.open("rb")
    file.seek(len(b"{"))
    length = len(head) + path.stat().st_size - len(b"{")
    return StreamingResponse(
        _chunks(head, file),
        headers={**headers, "content-length": str(length)},
        media_type="application/json",
    )


def _chunks(head: bytes, file: BinaryIO) -> Iterator[bytes]:
    with file:
        yield head
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


async def _entry(id: str, service: Service) -> Entry:
    return service.jobs.ledger[id]


TheJob = Annotated[Entry, Depends(_entry)]


@router.get("/jobs", dependencies=[OPTIONS_ONCE], **documented.JOBS)
async def get_jobs(service: Service, query: JobsAsked) -> Response:
    """The newest jobs, the newest first."""
    jobs = service.jobs
    newest = jobs.ledger.newest_first()[: query.limit]
    return job_reply({"jobs": [jobs.document(entry) for entry in newest]})


@router.get("/jobs/{id}", dependencies=[Depends(no_options)], **documented.JOB)
async def get_job(service: Service, entry: TheJob) -> Response:
    """The state and progress of a job."""
    return job_reply(service.jobs.document(entry))


@router.get(
    "/jobs/{id}/events",
    dependencies=[Depends(no_options)],
    response_class=EventSourceResponse,
    **documented.EVENTS,
)
async def get_events(service: Service, entry: TheJob) -> AsyncIterator[ServerSentEvent]:
    """The job at each change, as server-sent events, until it has ended."""
    async for changed in service.jobs.ledger.changes(entry):
        yield ServerSentEvent(raw_data=dump(service.jobs.document(changed)).decode())


@router.get("/jobs/{id}/result", dependencies=[OPTIONS_ONCE], **documented.RESULT)
async def get_result(
    request: Request, service: Service, entry: TheJob, query: ResultAsked, wait: Waiting
) -> Response:
    """The result of a job that has succeeded, as a file; `Prefer: wait=N` waits for its end."""
    task = {"work": "write", **query.model_dump()}
    path = await _made(request, service, entry, query.file_name, task, wait)
    return _rendition(service, entry, path, query.media_type, wait)


@router.get("/jobs/{id}/overlay", dependencies=[Depends(no_options)], **documented.OVERLAY)
async def get_overlay(request: Request, service: Service, entry: TheJob, wait: Waiting) -> Response:
    """The video with its poses drawn, as an MP4 that browsers play."""
    path = await _made(request, service, entry, "overlay.mp4", {"work": "draw"}, wait)
    return _rendition(service, entry, path, "video/mp4", wait)


async def _made(
    request: Request,
    service: Service,
    entry: Entry,
    name: str,
    task: Mapping[str, Any],
    wait: Wait,
) -> Path | None:
    """The file made of the job's result; None if that takes longer than `wait`. Without a
    preference the job itself is not waited for. Raises Conflict, Refused or Gone if there is no
    result."""
    jobs, start_s = service.jobs, time.monotonic()
    if wait.applied and not entry.job.ended:
        await request.body()
        await run_while_connected(jobs.ledger.ended(entry, wait.seconds), request.receive)
    jobs.check_result(entry.job)
    left_s = max(0.0, wait.seconds - (time.monotonic() - start_s))
    return await jobs.renditions.get(entry.job, name, task, left_s)


def _rendition(
    service: Service, entry: Entry, path: Path | None, media_type: str, wait: Wait
) -> Response:
    if path is not None:
        return result_file(path, media_type, wait.headers())
    headers = {
        "location": path_of(entry.job),
        "retry-after": str(RETRY_AFTER_S),
        **wait.headers(),
    }
    return job_reply(service.jobs.document(entry), status=202, headers=headers)


@router.delete("/jobs/{id}", dependencies=[Depends(no_options)], **documented.CANCEL)
async def delete_job(service: Service, entry: TheJob) -> Response:
    """Cancel a job that has not ended, or remove one that has. Its files are deleted."""
    if await service.jobs.remove(entry):
        return job_reply(service.jobs.document(entry))
    return Response(status_code=204)
