"""/jobs: how far each video is, its result, and its end."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service.jobs.job import path_of
from service.jobs.ledger import Entry
from service.jobs.renditions import RETRY_AFTER_S
from service.routes.preferences import Wait, Waiting
from service.routes.queries import OPTIONS_ONCE, JobsAsked, ResultAsked, no_options
from service.state import TheService
from service.wire.documents import dump
from service.wire.openapi import routes as documented

router = APIRouter()


def job_reply(
    document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(dump(document), status, dict(headers or {}), "application/json")


def result_file(path: Path, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    return FileResponse(path, media_type=media_type, headers=dict(headers or {}))


async def _entry(id: str, service: TheService) -> Entry:
    return service.jobs.ledger[id]


TheJob = Annotated[Entry, Depends(_entry)]


@router.get("/jobs", dependencies=[OPTIONS_ONCE], **documented.JOBS)
async def get_jobs(service: TheService, query: JobsAsked) -> Response:
    """The newest jobs, the newest first."""
    jobs = service.jobs
    newest = jobs.ledger.newest_first()[: query.limit]
    return job_reply({"jobs": [jobs.document(entry) for entry in newest]})


@router.get("/jobs/{id}", dependencies=[Depends(no_options)], **documented.JOB)
async def get_job(service: TheService, entry: TheJob) -> Response:
    """How far a job is."""
    return job_reply(service.jobs.document(entry))


@router.get(
    "/jobs/{id}/events",
    dependencies=[Depends(no_options)],
    response_class=EventSourceResponse,
    **documented.EVENTS,
)
async def get_events(service: TheService, entry: TheJob) -> AsyncIterator[ServerSentEvent]:
    """The job at each change, as server-sent events; the last one tells its end."""
    async for changed in service.jobs.ledger.changes(entry):
        yield ServerSentEvent(raw_data=dump(service.jobs.document(changed)).decode())


@router.get("/jobs/{id}/result", dependencies=[OPTIONS_ONCE], **documented.RESULT)
async def get_result(
    service: TheService, entry: TheJob, query: ResultAsked, wait: Waiting
) -> Response:
    """The result of a job that has succeeded, as a file."""
    name, job = query.file_name, entry.job
    service.jobs.check_result(job)
    task = {"work": "write", **query.model_dump()}
    path = await service.jobs.renditions.get(job, name, task, wait.seconds)
    return _rendition(service, entry, path, query.media_type, wait)


@router.get("/jobs/{id}/overlay", dependencies=[Depends(no_options)], **documented.OVERLAY)
async def get_overlay(service: TheService, entry: TheJob, wait: Waiting) -> Response:
    """The video with its poses drawn, as an MP4 that browsers play."""
    service.jobs.check_result(entry.job)
    task = {"work": "draw"}
    path = await service.jobs.renditions.get(entry.job, "overlay.mp4", task, wait.seconds)
    return _rendition(service, entry, path, "video/mp4", wait)


def _rendition(
    service: TheService, entry: Entry, path: Path | None, media_type: str, wait: Wait
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
async def delete_job(service: TheService, entry: TheJob) -> Response:
    """Cancel a job that has not ended; forget one that has. Its files are removed."""
    if await service.jobs.remove(entry):
        return job_reply(service.jobs.document(entry))
    return Response(status_code=204)
