"""Errors -> RFC 9457 problem documents, with the table error class -> status."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

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
    Conflict,
    Fault,
    Gone,
    InvalidFields,
    NotFound,
    NotJson,
    NotMultipart,
    NotNpz,
    NotReady,
    NotUnderstood,
    OverLimit,
    Overloaded,
    Refused,
    Stalled,
    StorageFull,
    TooManyStreams,
    WorkerLost,
)

MEDIA_TYPE = "application/problem+json"
INTERNAL = "the service failed; see its log"


class Kind(NamedTuple):
    status: int
    title: str


STATUS: Mapping[type[Exception], Kind] = {
    NotJson: Kind(400, "Not JSON"),
    NotNpz: Kind(400, "Not npz"),
    BadForm: Kind(400, "Malformed multipart body"),
    NotFound: Kind(404, "Not Found"),
    Stalled: Kind(408, "Nothing received"),
    Conflict: Kind(409, "Conflict"),
    Gone: Kind(410, "Gone"),
    TooLarge: Kind(413, "Too large"),
    NotAVideo: Kind(415, "Not a video"),
    NotMultipart: Kind(415, "Not multipart/form-data"),
    NotUnderstood: Kind(415, "Not understood"),
    UnreadableVideo: Kind(422, "Unreadable video"),
    OverLimit: Kind(422, "Over the limit of a job"),
    UnknownName: Kind(422, "Unknown name"),
    InvalidInput: Kind(422, "Invalid value"),
    TooManyStreams: Kind(429, "Too many streams"),
    Abandoned: Kind(499, "Client left"),
    PoseError: Kind(500, "Internal error"),
    WorkerLost: Kind(500, "Worker lost"),
    DetectorUnavailable: Kind(503, "Detector unavailable"),
    NotReady: Kind(503, "Not ready"),
    Overloaded: Kind(503, "Overloaded"),
    StorageFull: Kind(503, "Storage full"),
}


def problem(error: PoseError) -> dict[str, Any]:
    """The problem document of an error. Details of internal errors are not disclosed."""
    if isinstance(error, Refused):
        return dict(error.document)
    kind = kind_of(error)
    # the client can act on a lost worker
    internal = kind.status == 500 and not isinstance(error, WorkerLost)
    return document(kind, INTERNAL if internal else str(error), _faults(error))


def kind_of(error: PoseError) -> Kind:
    return next(STATUS[base] for base in type(error).__mro__ if base in STATUS)


def _faults(error: PoseError) -> Iterable[Fault]:
    if isinstance(error, InvalidFields):
        return error.faults
    if isinstance(error, InvalidInput) and error.where:
        return (Fault(error.where, str(error)),)
    return ()


def document(kind: Kind, detail: str, faults: Iterable[Fault] = ()) -> dict[str, Any]:
    described: dict[str, Any] = {
        "type": "urn:poselift:problem:" + kind.title.lower().replace(" ", "-"),
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
    }
    errors = [{"location": list(fault.where), "detail": fault.message} for fault in faults]
    return {**described, "errors": errors} if errors else described
