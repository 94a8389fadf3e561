"""What /openapi.json says of the routes beyond their signatures: bodies, replies, errors."""

from typing import Any

from fastapi import FastAPI

from service.problems import MEDIA_TYPE
from service.replies import LiftReply, Live, Models, Problem, Ready, Version, VideoReply
from service.schemas import LiftBody

_MEANINGS = {
    400: "not JSON, nested absurdly, or a malformed form",
    408: "the body stopped arriving",
    413: "too large or too long",
    415: "not a video, or not multipart/form-data",
    422: "a value that does not fit, or a video of which no frame can be read",
    503: "not ready, or as much waits as may wait; see Retry-After",
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


def _route(tag: str, reply: type | None, *refusals: int) -> dict[str, Any]:
    responses: dict[int, dict[str, Any]] = {
        status: {"model": Problem, "description": _MEANINGS[status]} for status in refusals
    }
    if reply is not None:
        responses[200] = {"model": reply}
    return {"tags": [tag], "responses": responses, "response_model": None}


def _body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


LIFT = {
    **_route("lifting", LiftReply, 400, 408, 413, 422, 503),
    "openapi_extra": _body("application/json", LiftBody.model_json_schema()),
}
VIDEO = {
    **_route("lifting", VideoReply, 400, 408, 413, 415, 422, 503),
    "openapi_extra": _body("multipart/form-data", _FORM),
}
MODELS = _route("about", Models, 422)
VERSION = _route("about", Version, 422)
LIVE = _route("about", Live, 422)
READY = _route("about", Ready, 422, 503)
METRICS = _route("about", None, 422)


def describe_problems(app: FastAPI) -> None:
    """Give every error its true media type: FastAPI writes application/json for a model."""
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
                content = response.get("content", {})
                if int(status) >= 400 and "application/json" in content:
                    content[MEDIA_TYPE] = content.pop("application/json")
