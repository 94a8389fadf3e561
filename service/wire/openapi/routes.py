"""OpenAPI descriptions of the routes beyond their signatures: bodies, responses, errors."""

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

_DESCRIPTIONS = {
    400: "not JSON, nested too deeply, not npz, or a malformed form",
    404: "there is no such job or stream",
    409: "conflict with the current state: the result is not ready, the Idempotency-Key belongs to "
    "another video, or the frames or options do not continue the stream",
    410: "cancelled or expired",
    408: "no data of the body arrived for too long",
    413: "too large or too long",
    415: "not a video, or not multipart/form-data",
    500: "the service failed, or the worker process of the video was lost",
    422: "a bad value, or a video without a readable frame",
    429: "the limit of open streams is reached; see Retry-After",
    503: "not ready, or a capacity limit is reached; see Retry-After",
}
_ACCEPTED = {
    "model": JobReply,
    "description": "no result within the wait; Location is the URL of the job",
}
_NPZ_BODY = {
    "type": "string",
    "format": "binary",
    "description": "the same fields as arrays of an npz file: keypoints (T, J, 2 or 3) of numbers, "
    "NaN for a joint not seen; image_size (2,); every other field one value",
}
_NPZ_RESPONSE = {
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


def _errors(*statuses: int) -> dict[int, dict[str, Any]]:
    return {s: {"model": Problem, "description": _DESCRIPTIONS[s]} for s in statuses}


def _route(tag: str, response: type | None, *errors: int) -> dict[str, Any]:
    responses = _errors(*errors)
    if response is not None:
        responses[200] = {"model": response}
    return {"tags": [tag], "responses": responses, "response_model": None}


def _file(media_type: str, *errors: int) -> dict[str, Any]:
    route = _route("jobs", None, *errors)
    binary = {"schema": {"type": "string", "format": "binary"}}
    route["responses"][200] = {"content": {media_type: binary}, "description": "the file"}
    return route


def _or_accepted(route: dict[str, Any]) -> dict[str, Any]:
    return {**route, "responses": {**route["responses"], 202: _ACCEPTED}}


def _body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


def _or_npz(route: dict[str, Any]) -> dict[str, Any]:
    """The response may also be an npz file."""
    route["responses"][200]["content"] = {NPZ: {"schema": _NPZ_RESPONSE}}
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
VIDEO = _or_accepted(
    {
        **_route("lifting", VideoReply, 400, 408, 409, 410, 413, 415, 422, 500, 503),
        "openapi_extra": _body("multipart/form-data", _FORM),
    }
)
JOBS = _route("jobs", JobsReply, 422)
JOB = _route("jobs", JobReply, 404, 422)
EVENTS: dict[str, Any] = {"tags": ["jobs"], "responses": _errors(404, 422)}
RESULT = _or_accepted(_file("application/octet-stream", 404, 409, 410, 413, 415, 422, 500, 503))
OVERLAY = _or_accepted(_file("video/mp4", 404, 409, 410, 413, 415, 422, 500, 503))
CANCEL = _route("jobs", JobReply, 404, 422, 503)
CANCEL["responses"][204] = {"description": "the job had ended and is removed with its files"}
MODELS = _route("about", Models, 422)
VERSION = _route("about", Version, 422)
LIVE = _route("about", Live, 422)
READY = _route("about", Ready, 422, 503)
METRICS = _route("about", None, 422)


def describe_problems(app: FastAPI) -> None:
    """Correct the media type of errors, for which FastAPI uses that of the response."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        cached = app.openapi_schema is not None
        schema = generate()
        if not cached:
            _correct_media_types(schema)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def _correct_media_types(schema: dict[str, Any]) -> None:
    for path in schema["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400 and "content" in response:
                    (content,) = response["content"].values()
                    response["content"] = {MEDIA_TYPE: content}
