"""Errors of the service, in addition to model.errors.

PoseError
├── InvalidInput
│   ├── InvalidFields   several bad values, each with its path
│   ├── NotJson         the body is not JSON, or is nested too deeply
│   ├── BadForm         the multipart body is malformed
│   ├── NotNpz          the body is not an npz file
│   ├── NotMultipart    the body is not multipart/form-data
│   ├── NotUnderstood   a message of a type that the live stream does not accept
│   └── OverLimit       the video exceeds the memory or time limit of a job
├── Stalled             the client stopped sending or reading
├── Abandoned           the client disconnected
├── NotFound            no such resource
├── Gone                the resource has expired or was removed
├── Conflict            the request does not fit the current state
├── Overloaded          a capacity limit is reached
│   └── TooManyStreams  the limit of open streams is reached
├── StorageFull         the disk is full
├── NotReady            the service is starting or stopping
├── WorkerLost          a worker process ended or stopped working
└── Refused             a worker rejected the work, with a problem document
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model import InvalidInput, PoseError


@dataclass(frozen=True)
class Fault:
    """One bad value: its path and the message."""

    where: tuple[str | int, ...]
    message: str


class InvalidFields(InvalidInput):
    """Several bad values."""

    def __init__(self, faults: Sequence[Fault]):
        super().__init__("; ".join(f"{place(f.where)}: {f.message}" for f in faults))
        self.faults = tuple(faults)


class NotJson(InvalidInput):
    """The body is not JSON."""


class NotNpz(InvalidInput):
    """The body is not an npz file, or is damaged."""


class BadForm(InvalidInput):
    """The multipart body is malformed or truncated."""


class NotMultipart(InvalidInput):
    """The body is not multipart/form-data."""


class NotUnderstood(InvalidInput):
    """The live stream does not accept this type of message (text, binary, not a JPEG)."""


class OverLimit(InvalidInput):
    """The video exceeds the memory or time limit of a job."""


class Stalled(PoseError):
    """The client sent or read nothing for too long."""


class Abandoned(PoseError):
    """The client disconnected before the response; the work is cancelled."""


class NotFound(PoseError):
    """There is no such resource."""


class Gone(PoseError):
    """The resource has expired or was removed."""


class Conflict(PoseError):
    """The request does not fit the current state."""


class Overloaded(PoseError):
    """A capacity limit is reached; `retry_after_s` is when to try again."""

    def __init__(self, message: str, retry_after_s: int):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyStreams(Overloaded):
    """The limit of open streams is reached."""


class StorageFull(PoseError):
    """The disk is full."""

    retry_after_s = 60


class NotReady(PoseError):
    """The service is starting, stopping or cannot work."""


class WorkerLost(PoseError):
    """A worker process ended or stopped working during a job."""


class Refused(PoseError):
    """A worker rejected the work; `document` is its problem document."""

    def __init__(self, document: Mapping[str, Any]):
        super().__init__(str(document["detail"]))
        self.document = document


MAX_FAULTS = 10
"""Maximum bad values listed in one error."""


def invalid_fields(errors: Sequence[Any]) -> InvalidFields:
    """pydantic's errors as InvalidFields. The path of a query option loses its leading "query"."""
    faults = []
    for error in errors[:MAX_FAULTS]:
        where = tuple(error["loc"])
        where = where[1:] if where[:1] == ("query",) else where
        unknown = error["type"] == "extra_forbidden"
        faults.append(Fault(where, "unknown, not ignored" if unknown else error["msg"]))
    return InvalidFields(faults)


def place(where: Sequence[str | int]) -> str:
    """A path as text, as in keypoints[3][5]."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{step[:80]}" for step in where)
    return "".join(parts).lstrip(".")
