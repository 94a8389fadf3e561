"""Errors -> RFC 9457 problem documents: the one table of error class -> status."""

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from model import (
    DetectorUnavailable,
    InvalidInput,
    NotAVideo,
    PoseError,
    TooLarge,
    UnknownName,
    UnreadableVideo,
)
from service.errors import (
    Abandoned,
    BadForm,
    Fault,
    InvalidFields,
    NotJson,
    NotMultipart,
    NotReady,
    Overloaded,
    Stalled,
    invalid_fields,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
"""When to come back to a service that is not ready, in seconds."""

_log = logging.getLogger("poselift")


class Kind(NamedTuple):
    status: int
    title: str


STATUS: Mapping[type[Exception], Kind] = {
    NotJson: Kind(400, "Not JSON"),
    BadForm: Kind(400, "Malformed multipart body"),
    Stalled: Kind(408, "Nothing received"),
    TooLarge: Kind(413, "Too large"),
    NotAVideo: Kind(415, "Not a video"),
    NotMultipart: Kind(415, "Not multipart/form-data"),
    UnreadableVideo: Kind(422, "Unreadable video"),
    UnknownName: Kind(422, "Unknown name"),
    InvalidInput: Kind(422, "Invalid value"),
    Abandoned: Kind(499, "Client left"),
    PoseError: Kind(500, "Internal error"),
    DetectorUnavailable: Kind(503, "Detector unavailable"),
    NotReady: Kind(503, "Not ready"),
    Overloaded: Kind(503, "Overloaded"),
}


def add_problem_handlers(app: FastAPI) -> None:
    """Every error of this app, the framework's too, becomes a problem document."""
    app.add_exception_handler(PoseError, _pose_error)
    app.add_exception_handler(RequestValidationError, _bad_query)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _client_left)
    app.add_exception_handler(Exception, _internal_error)


def problem(error: PoseError) -> dict[str, Any]:
    """The problem document of an error that is the caller's or the moment's."""
    kind = _kind(error)
    if kind.status == 500:
        return _document(kind, "the service failed; its log says more")
    return _document(kind, str(error), _faults(error))


def _kind(error: PoseError) -> Kind:
    return next(STATUS[one] for one in type(error).__mro__ if one in STATUS)


def _faults(error: PoseError) -> Iterable[Fault]:
    if isinstance(error, InvalidFields):
        return error.faults
    if isinstance(error, InvalidInput) and error.where:
        return (Fault(error.where, str(error)),)
    return ()


def _document(kind: Kind, detail: str, faults: Iterable[Fault] = ()) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": "urn:poselift:problem:" + kind.title.lower().replace(" ", "-"),
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
    }
    errors = [{"location": list(fault.where), "detail": fault.message} for fault in faults]
    return {**document, "errors": errors} if errors else document


def problem_response(error: PoseError) -> Response:
    document = problem(error)
    headers = {}
    if document["status"] == 503:
        headers["retry-after"] = str(getattr(error, "retry_after_s", RETRY_AFTER_S))
    return _response(document, headers)


def _response(document: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(document),
        status_code=document["status"],
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


async def _pose_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PoseError)
    response = problem_response(error)
    if response.status_code == 500:
        _log.error("%s %s failed: %s", request.method, request.url.path, error)
    return response


async def _bad_query(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(invalid_fields(error.errors()))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = Kind(error.status_code, HTTPStatus(error.status_code).phrase)
    return _response(_document(kind, _http_detail(request, error)), error.headers)


def _http_detail(request: Request, error: HTTPException) -> str:
    path = request.url.path[:200]
    if error.status_code == 404:
        return f"there is nothing at {path}; /docs lists what there is"
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return f"{path} takes {allowed}, not {request.method[:20]}"
    return str(error.detail)


async def _client_left(request: Request, error: Exception) -> Response:
    return Response(status_code=_kind(Abandoned("")).status)


async def _internal_error(request: Request, error: Exception) -> Response:
    """The server logs the traceback itself: starlette raises the error again after this answer."""
    return _response(_document(STATUS[PoseError], "the service failed; its log says more"))
