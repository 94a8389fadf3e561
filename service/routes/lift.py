"""POST /lift: 2D keypoints of one person -> 3D poses, as a whole or as a stream."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np
from fastapi import APIRouter, Depends, Request, Response

from model import lifting_keypoints
from service.admission.cancellation import not_ready_on_cancel, run_while_connected
from service.routes.queries import no_options
from service.settings import Settings
from service.state import Service, ServiceState
from service.wire import npz
from service.wire.bodies import read_body
from service.wire.documents import dump
from service.wire.lift import (
    LiftRequest,
    LiftResult,
    lift_document,
    lift_request,
    lift_result,
    read_lift,
)
from service.wire.openapi import routes as documented

router = APIRouter(dependencies=[Depends(no_options)])
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

PIECE_FRAMES = 1000
INLINE_BYTES, INLINE_FRAMES = 40_000, 60
"""Reading or writing these takes about 1 ms; more is done in a thread, not in the event loop."""


@router.post("/lift", **documented.LIFT)
async def post_lift(request: Request, service: Service) -> Response:
    """Lift the 2D keypoints of one person to 3D, one pose for each frame."""
    settings = service.settings
    with not_ready_on_cancel(), service.lifts.enter():
        body = await read_body(request, settings.max_body_bytes, settings.upload_stall_s)
        packed = npz.MEDIA_TYPE in _media_types(request, "content-type")
        large = packed or len(body) > INLINE_BYTES
        lift = await _run(large, _read, packed, body, settings)
        if lift.stream is None:
            result = await run_while_connected(_lift(lift, service), request.receive)
        else:
            # runs to its end even if the client leaves, so that the stream's state is known
            result = await service.streams.push(lift.stream, lift)
        service.telemetry.lifted(len(result.frames))
        return await _run(len(result.frames) > INLINE_FRAMES, _response, request, result)


@router.get("/streams", **documented.STREAMS)
async def get_streams(service: Service) -> Response:
    """The open streams."""
    return Response(dump({"streams": service.streams.documents()}), media_type="application/json")


@router.delete("/streams/{id}", **documented.STREAM_END)
async def delete_stream(request: Request, service: Service, id: str) -> Response:
    """End a stream and return its remaining poses."""
    with not_ready_on_cancel():
        result = await service.streams.end(id)
    service.telemetry.lifted(len(result.frames))
    return _response(request, result)


async def _run(
    large: bool,
    work: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    if large:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)


def _read(packed: bool, body: bytes, settings: Settings) -> LiftRequest:
    if packed:
        arrays = npz.read_npz(body, settings.max_body_bytes)
        return lift_request(arrays, settings.max_frames)
    return read_lift(body, settings.max_frames)


async def _lift(lift: LiftRequest, service: ServiceState) -> LiftResult:
    lifter = await service.lifters.loaded(lift.model)
    place = lift.options.space != "root"  # the root takes half as long as lifting
    task = lifting_keypoints(lift.sequence, lifter, lift.options, place=place)
    return lift_result(await service.batcher.submit(lifter, task, live=False))


def _response(request: Request, result: LiftResult) -> Response:
    if npz.MEDIA_TYPE in _media_types(request, "accept"):
        return Response(npz.write_npz(result), media_type=npz.MEDIA_TYPE)
    return Response(_dump_in_pieces(lift_document(result)), media_type="application/json")


def _dump_in_pieces(document: Mapping[str, Any]) -> bytes:
    """`dump` in pieces, because it holds the GIL: 0.7 s for 100,000 frames."""
    fields = (dump(name) + b":" + _dump_rows(value) for name, value in document.items())
    return b"{" + b",".join(fields) + b"}"


def _dump_rows(value: Any) -> bytes:
    if not isinstance(value, (np.ndarray, list)) or len(value) <= PIECE_FRAMES:
        return dump(value)
    starts = range(0, len(value), PIECE_FRAMES)
    pieces = (dump(value[start : start + PIECE_FRAMES])[1:-1] for start in starts)
    return b"[" + b",".join(pieces) + b"]"


def _media_types(request: Request, header: str) -> set[str]:
    values = request.headers.get(header, "").lower().split(",")
    return {value.partition(";")[0].strip() for value in values}
