"""POST /video: a video in, the 3D poses of every person in it out."""

import asyncio
from pathlib import Path

from fastapi import APIRouter, Request, Response

from model import Lifter, VideoOptions, lift_video
from service import documented
from service.door import Visit
from service.queries import VideoOptionsAsked
from service.running import Running, TheService
from service.schemas import dump, video_document
from service.uploads import uploaded

router = APIRouter()


@router.post("/video", **documented.VIDEO)
async def post_video(request: Request, service: TheService, query: VideoOptionsAsked) -> Response:
    """Find every person in a video, follow them, and lift each to 3D."""
    settings = service.settings
    options = query.options(settings.detector)
    lifter = await asyncio.to_thread(service.lifters.get, query.model)
    lifter.check(options.lift_options())
    with service.videos.enter():
        async with uploaded(request, settings) as path:
            reply = await service.videos.run(
                lambda visit: _answer(path, lifter, options, service, visit), request.receive
            )
    return Response(reply, media_type="application/json")


def _answer(
    path: Path, lifter: Lifter, options: VideoOptions, service: Running, visit: Visit
) -> bytes:
    def progress(*_: object) -> None:
        visit.check()

    result = lift_video(path, lifter, options, progress=progress)
    service.telemetry.lifted(sum(len(person.frames) for person in result.people))
    return dump(video_document(result))
