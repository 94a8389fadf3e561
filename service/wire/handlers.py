"""Responds to every error, including the framework's, with a problem document."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from model import PoseError
from service.errors import Abandoned, invalid_fields
from service.wire.problems import INTERNAL, MEDIA_TYPE, STATUS, Kind, document, kind_of, problem

RETRY_AFTER_S = 5
"""Retry-After of a service that is not ready, s."""

_log = logging.getLogger("poselift")


def add_problem_handlers(app: FastAPI) -> None:
    app.add_exception_handler(PoseError, _pose_error)
    app.add_exception_handler(RequestValidationError, _bad_query)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _client_disconnected)
    app.add_exception_handler(Exception, _internal_error)


def problem_response(error: PoseError) -> Response:
    body = problem(error)
    headers = {}
    if body["status"] in (429, 503):
        headers["retry-after"] = str(getattr(error, "retry_after_s", RETRY_AFTER_S))
    return _response(body, headers)


def _response(body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(body),
        status_code=body["status"],
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
    return _response(document(kind, _http_detail(request, error)), error.headers)


def _http_detail(request: Request, error: HTTPException) -> str:
    path = request.url.path[:200]
    if error.status_code == 404:
        return f"there is no route {path}; see /docs"
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return f"{path} accepts {allowed}, not {request.method[:20]}"
    return str(error.detail)


async def _client_disconnected(request: Request, error: Exception) -> Response:
    return Response(status_code=kind_of(Abandoned("")).status)


async def _internal_error(request: Request, error: Exception) -> Response:
    """The server logs the traceback: starlette raises the error again after this response."""
    return _response(document(STATUS[PoseError], INTERNAL))
