"""What can go wrong between the wire and the model, beside model.errors.

PoseError
├── InvalidInput
│   ├── InvalidFields   several values at once, each with its place
│   ├── NotJson         a body that is not JSON, or nested absurdly
│   ├── BadForm         a multipart body that breaks its own rules
│   ├── NotNpz          a body that is not an npz file
│   ├── NotMultipart    a body of another type where multipart/form-data is wanted
│   ├── NotUnderstood   a message of a kind that a live stream does not take
│   └── OverLimit       a video that takes more memory or time than a job may
├── Stalled             the client stopped sending
├── Abandoned           the client left
├── NotFound            nothing has this name
├── Gone                it was here, and has expired
├── Conflict            it does not fit the state of things
├── Overloaded          as much waits as may wait
│   └── TooManyStreams  as many streams are open as may be
├── StorageFull         no room on the disk
├── NotReady            the model is not loaded and warm yet
├── WorkerLost          a worker process ended, or stopped working
└── Refused             a worker's refusal, as the problem document that it sent
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model import InvalidInput, PoseError


@dataclass(frozen=True)
class Fault:
    """One bad value: the path to it, and what is wrong with it."""

    where: tuple[str | int, ...]
    message: str


class InvalidFields(InvalidInput):
    """Several values that do not fit."""

    def __init__(self, faults: Sequence[Fault]):
        super().__init__("; ".join(f"{place(f.where)}: {f.message}" for f in faults))
        self.faults = tuple(faults)


class NotJson(InvalidInput):
    """The body is not JSON."""


class NotNpz(InvalidInput):
    """The body is not an npz file, or a damaged one."""


class BadForm(InvalidInput):
    """The multipart body is malformed or breaks off."""


class NotMultipart(InvalidInput):
    """The body is not multipart/form-data."""


class NotUnderstood(InvalidInput):
    """The message is of a kind that this stream does not take: text, binary, not a JPEG."""


class OverLimit(InvalidInput):
    """The video takes more memory or time than a job may."""


class Stalled(PoseError):
    """The client sent nothing for too long."""


class Abandoned(PoseError):
    """The client left before its answer; the work is dropped."""


class NotFound(PoseError):
    """Nothing here has this name."""


class Gone(PoseError):
    """It was here, and has expired or been removed."""


class Conflict(PoseError):
    """What is asked does not fit the state of things."""


class Overloaded(PoseError):
    """As much waits as may wait; `retry_after_s` is a fair time to come back."""

    def __init__(self, message: str, retry_after_s: int):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyStreams(Overloaded):
    """As many streams are open as may be."""


class StorageFull(PoseError):
    """There is no room on the disk."""

    retry_after_s = 60


class NotReady(PoseError):
    """The service does not answer yet, or cannot."""


class WorkerLost(PoseError):
    """A worker process ended, or stopped working, in the middle of its work."""


class Refused(PoseError):
    """A worker's refusal: `document` is the problem document that it sent."""

    def __init__(self, document: Mapping[str, Any]):
        super().__init__(str(document["detail"]))
        self.document = document


MAX_FAULTS = 10
"""Bad values that one error lists."""


def invalid_fields(found: Sequence[Any]) -> InvalidFields:
    """pydantic's list of errors as ours; a place in a query loses its leading "query"."""
    faults = []
    for one in found[:MAX_FAULTS]:
        where = tuple(one["loc"])
        where = where[1:] if where[:1] == ("query",) else where
        unknown = one["type"] == "extra_forbidden"
        faults.append(Fault(where, "unknown, not ignored" if unknown else one["msg"]))
    return InvalidFields(faults)


def place(where: Sequence[str | int]) -> str:
    """A path as people write it: keypoints[3][5]."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{step[:80]}" for step in where)
    return "".join(parts).lstrip(".")
