"""POST /video: a video in, the 3D poses of every person out; each upload is a job."""

import asyncio

from fastapi import APIRouter, Request, Response

from service.admission.cancellation import run_while_connected
from service.jobs.job import path_of
from service.jobs.jobs import JobRequest
from service.jobs.uploads import uploaded
from service.routes.jobs import job_reply, named_result
from service.routes.preferences import IdempotencyKey, Waiting
from service.routes.queries import OPTIONS_ONCE, VideoOptionsAsked
from service.state import Service
from service.wire.openapi import routes as documented

router = APIRouter()


@router.post("/video", dependencies=[OPTIONS_ONCE], **documented.VIDEO)
async def post_video(
    request: Request,
    service: Service,
    query: VideoOptionsAsked,
    wait: Waiting,
    key: IdempotencyKey,
) -> Response:
    """Detect every person in a video, track them, and lift each to 3D."""
    options = query.options(service.settings.detector)
    lifter = await asyncio.to_thread(service.lifters.get, query.model)
    lifter.check(options)
    jobs = service.jobs
    with jobs.enter():
        async with uploaded(request, service.settings, jobs.folder) as upload:
            entry = await jobs.accept(upload, JobRequest(lifter.name, options), key)
    await run_while_connected(jobs.ledger.ended(entry, wait.seconds), request.receive)
    headers = {"location": path_of(entry.job), **wait.headers()}
    if not entry.job.ended:
        return job_reply(jobs.document(entry), status=202, headers=headers)
    jobs.check_result(entry.job)
    path = jobs.folder.result(entry.job.id, "result.json")
    return await asyncio.to_thread(named_result, path, jobs.document(entry), headers)
