"""POST /lift: one person's 2D keypoints in, 3D poses out."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from fastapi import APIRouter, Depends, Request, Response

from service import documented
from service.bodies import read_body
from service.door import while_wanted
from service.lifting import lift_request
from service.queries import no_options
from service.running import Running, TheService
from service.schemas import LiftResult, dump, lift_document, read_lift

router = APIRouter(dependencies=[Depends(no_options)])
Asked = ParamSpec("Asked")
Result = TypeVar("Result")

INLINE_BYTES = 40_000
"""What takes about a millisecond to read or write; more would hold up the event loop."""


@router.post("/lift", **documented.LIFT)
async def post_lift(request: Request, service: TheService) -> Response:
    """Lift the 2D keypoints of one person to 3D, one pose for each frame."""
    settings = service.settings
    with service.lifts.enter():
        body = await read_body(request, settings.max_body_bytes, settings.upload_stall_s)
        reply = await while_wanted(_answer(body, service), request.receive)
    return Response(reply, media_type="application/json")


async def _answer(body: bytes, service: Running) -> bytes:
    large = len(body) > INLINE_BYTES
    asked = await _run(large, read_lift, body, service.settings.max_frames)
    lifter = await service.lifters.loaded(asked.model)
    result = await service.batcher.submit(lifter, lift_request(asked, lifter), live=False)
    service.telemetry.lifted(len(result.poses))
    return await _run(large, _written, result)


async def _run(
    large: bool, work: Callable[Asked, Result], *args: Asked.args, **kwargs: Asked.kwargs
) -> Result:
    if large:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)


def _written(result: LiftResult) -> bytes:
    return dump(lift_document(result))
