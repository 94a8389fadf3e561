"""POST /lift: one person's 2D keypoints in, 3D poses out."""

from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from model import Pass
from service import documented
from service.bodies import read_body
from service.door import Visit
from service.lifting import lift_request
from service.queries import no_options
from service.running import Running, TheService
from service.schemas import (
    dump,
    lift_document,
    read_lift,
)

router = APIRouter(dependencies=[Depends(no_options)])


@router.post("/lift", **documented.LIFT)
async def post_lift(request: Request, service: TheService) -> Response:
    """Lift the 2D keypoints of one person to 3D, one pose for each frame."""
    settings = service.settings
    with service.lifts.enter():
        body = await read_body(request, settings.max_body_bytes, settings.upload_stall_s)
        reply = await service.lifts.run(
            lambda visit: _answer(body, service, visit), request.receive
        )
    return Response(reply, media_type="application/json")


def _answer(body: bytes, service: Running, visit: Visit) -> bytes:
    asked = read_lift(body, service.settings.max_frames)
    visit.check()
    lifter = service.lifters.get(asked.model)

    def run(wanted: Pass) -> Any:
        visit.check()
        return lifter.run_pass(wanted)

    result = lift_request(asked, lifter, run)
    visit.check()
    service.telemetry.lifted(len(result.poses))
    return dump(lift_document(result))
