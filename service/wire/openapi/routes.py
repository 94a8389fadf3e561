"""What /openapi.json says of the routes beyond their signatures: bodies, replies, errors."""

from typing import Any

from fastapi import FastAPI

from service.wire.lift import LiftBody
from service.wire.npz import MEDIA_TYPE as NPZ
from service.wire.openapi.responses import (
    JobReply,
    JobsReply,
    LiftReply,
    Live,
    Models,
    Problem,
    Ready,
    StreamsReply,
    Version,
    VideoReply,
)
from service.wire.problems import MEDIA_TYPE

_MEANINGS = {
    400: "not JSON, nested absurdly, not npz, or a malformed form",
    404: "there is no such job or stream",
    409: "it does not fit the state of things: a result that is not there yet, an Idempotency-Key "
    "of another video, or frames or options that a stream does not go on with",
    410: "cancelled or expired",
    408: "the body stopped arriving",
    413: "too large or too long",
    415: "not a video, or not multipart/form-data",
    500: "the service failed, or the worker at work on the video was lost",
    422: "a value that does not fit, or a video of which no frame can be read",
    429: "as many streams are open as may be; see Retry-After",
    503: "not ready, or as much waits as may wait; see Retry-After",
}
_LATER = {
    "model": JobReply,
    "description": "not ready within the wait; Location tells where the job is followed",
}
_NPZ_BODY = {
    "type": "string",
    "format": "binary",
    "description": "the same fields as arrays of an npz file: keypoints (T, J, 2 or 3) of numbers, "
    "NaN for a joint not seen; image_size (2,); every other field one value",
}
_NPZ_REPLY = {
    "type": "string",
    "format": "binary",
    "description": "for `Accept: application/x-npz`: the same fields as arrays of an npz file; "
    "model is name and version, applied a JSON object, a joint not seen NaN",
}
_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {
            "type": "string",
            "format": "binary",
            "description": "the video; its name and content type are ignored",
        }
    },
}


def _refusals(*statuses: int) -> dict[int, dict[str, Any]]:
    return {one: {"model": Problem, "description": _MEANINGS[one]} for one in statuses}


def _route(tag: str, reply: type | None, *refusals: int) -> dict[str, Any]:
    responses = _refusals(*refusals)
    if reply is not None:
        responses[200] = {"model": reply}
    return {"tags": [tag], "responses": responses, "response_model": None}


def _file(media_type: str, *refusals: int) -> dict[str, Any]:
    route = _route("jobs", None, *refusals)
    binary = {"schema": {"type": "string", "format": "binary"}}
    route["responses"][200] = {"content": {media_type: binary}, "description": "the file"}
    return route


def _answers_later(route: dict[str, Any]) -> dict[str, Any]:
    return {**route, "responses": {**route["responses"], 202: _LATER}}


def _body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


def _or_npz(route: dict[str, Any]) -> dict[str, Any]:
    """The reply may be asked for as arrays, too."""
    route["responses"][200]["content"] = {NPZ: {"schema": _NPZ_REPLY}}
    return route


LIFT = {
    **_or_npz(_route("lifting", LiftReply, 400, 408, 409, 413, 422, 429, 503)),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": LiftBody.model_json_schema()},
                NPZ: {"schema": _NPZ_BODY},
            },
        }
    },
}
STREAMS = _route("lifting", StreamsReply, 422)
STREAM_END = _or_npz(_route("lifting", LiftReply, 404, 409, 422, 503))
VIDEO = _answers_later(
    {
        **_route("lifting", VideoReply, 400, 408, 409, 410, 413, 415, 422, 500, 503),
        "openapi_extra": _body("multipart/form-data", _FORM),
    }
)
JOBS = _route("jobs", JobsReply, 422)
JOB = _route("jobs", JobReply, 404, 422)
EVENTS: dict[str, Any] = {"tags": ["jobs"], "responses": _refusals(404, 422)}
RESULT = _answers_later(_file("application/octet-stream", 404, 409, 410, 413, 415, 422, 500, 503))
OVERLAY = _answers_later(_file("video/mp4", 404, 409, 410, 413, 415, 422, 500, 503))
CANCEL = _route("jobs", JobReply, 404, 422, 503)
CANCEL["responses"][204] = {"description": "the job had ended; it and its files are gone"}
MODELS = _route("about", Models, 422)
VERSION = _route("about", Version, 422)
LIVE = _route("about", Live, 422)
READY = _route("about", Ready, 422, 503)
METRICS = _route("about", None, 422)


def describe_problems(app: FastAPI) -> None:
    """Give every error its true media type: FastAPI writes the one of the route's answer."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        known = app.openapi_schema is not None
        schema = described()
        if not known:
            _rename_problems(schema)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def _rename_problems(schema: dict[str, Any]) -> None:
    for path in schema["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400 and "content" in response:
                    (described,) = response["content"].values()
                    response["content"] = {MEDIA_TYPE: described}
