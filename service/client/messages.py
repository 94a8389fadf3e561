"""The requests and responses of the client, without I/O.

PoseError
├── ServiceProblem   the service rejected the request, or the job failed
└── NoService        no response, or one of another service
"""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
from numpy.typing import ArrayLike, NDArray
from tenacity import RetryCallState, wait_exponential

from model import InvalidInput, PoseError

UploadProgress = Callable[[int, int], None]
"""Called with the bytes sent and the size of the file; starts again at 0 on a retry."""

BUSY = (429, 502, 503, 504)
"""Statuses after which the same request may succeed."""
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 60.0
POLL_S = 1.0
"""Between two polls of a job whose events cannot be read."""
RESULT_WAIT = {"Prefer": "wait=20"}


class ServiceProblem(PoseError):
    """A problem document (RFC 9457): status, title, detail, and `where` the first bad value is, as
    in ("keypoints", 3, 5). `retry_after_s` is the response's Retry-After, None without it."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        where: tuple[str | int, ...] = (),
        retry_after_s: float | None = None,
    ):
        super().__init__(f"{title}: {detail}" if detail else title)
        self.status = status
        self.title = title
        self.detail = detail
        self.where = where
        self.retry_after_s = retry_after_s

    @staticmethod
    def of(document: Mapping[str, Any], retry_after_s: float | None = None) -> "ServiceProblem":
        errors = document.get("errors") or [{"location": ()}]
        return ServiceProblem(
            int(document["status"]),
            str(document["title"]),
            str(document.get("detail", "")),
            tuple(errors[0]["location"]),
            retry_after_s,
        )


class NoService(PoseError):
    """The service cannot be reached, the connection broke, or another service responded."""


@dataclass(frozen=True)
class Request:
    """One request. `upload` is sent as the form's file; `retry`: it may be sent again."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    upload: Path | None = None
    progress: UploadProgress | None = None
    retry: bool = True

    @contextmanager
    def arguments(self) -> Iterator[dict[str, Any]]:
        """The arguments of httpx's `stream`; the upload is open inside the context."""
        arguments: dict[str, Any] = {
            "method": self.method,
            "url": self.path,
            "params": {name: value for name, value in self.params.items() if value is not None},
            "headers": self.headers,
            "content": self.content,
        }
        if self.upload is None:
            yield arguments
            return
        with _Upload(self.upload, self.progress) as file:
            yield arguments | {"files": {"file": ("video", file)}}


class _Upload(io.FileIO):
    """A file that reports how much of it was read."""

    def __init__(self, path: Path, progress: UploadProgress | None):
        super().__init__(path)
        self._progress = progress
        self._size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        part = super().read(size)
        if self._progress:
            self._progress(self.tell(), self._size)
        return part


@dataclass(frozen=True)
class Job:
    """The state of a job: `stage` with `done` of `total` frames; `remaining_s` is an estimate;
    `document` is the whole response of GET /jobs/{id}."""

    id: str
    status: str
    stage: str
    done: int
    total: int | None
    remaining_s: float | None
    document: Mapping[str, Any] = field(repr=False)

    @property
    def ended(self) -> bool:
        return self.status in ("succeeded", "failed", "cancelled")

    def check(self) -> "Job":
        """Returns itself; raises ServiceProblem if it ended without a result."""
        if "error" in self.document:
            raise ServiceProblem.of(self.document["error"])
        if self.status == "cancelled":
            raise ServiceProblem(410, "Gone", f"job {self.id} was cancelled")
        return self


@dataclass(frozen=True)
class Lifted:
    """The result of POST /lift: poses (T, 17, 3) m and the 2D as lifted, keypoints (T, 17, 3) x, y
    px and score (0: not seen), both H36M-17; model is (name, version); confidence (T, 17) 0..1 of
    each joint, None if the model has none. With `space` camera or world, root (T, 3) m is the
    pelvis in camera axes; with world, room is the JSON document of the floor and up axis."""

    poses: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    model: tuple[str, str]
    applied: Mapping[str, Any]
    warnings: tuple[str, ...]
    confidence: NDArray[np.float32] | None = None
    root: NDArray[np.float32] | None = None
    room: Mapping[str, Any] | None = None


def lift_request(
    keypoints: ArrayLike,
    image_size: tuple[int, int],
    fps: float,
    skeleton: str,
    options: Mapping[str, Any],
) -> Request:
    """Keypoints (T, J, 2 or 3): x, y px and score; a row with NaN is a joint that is not seen."""
    rows = np.asarray(keypoints, np.float64)
    if rows.ndim != 3:
        raise InvalidInput(
            f"keypoints must have the shape (frames, joints, 2 or 3), got {rows.shape}"
        )
    seen = ~np.isnan(rows).any(axis=-1)
    listed = [
        [row if is_seen else None for row, is_seen in zip(frame, frame_seen, strict=True)]
        for frame, frame_seen in zip(rows.tolist(), seen.tolist(), strict=True)
    ]
    body = {
        "keypoints": listed,
        "skeleton": skeleton,
        "image_size": list(image_size),
        "fps": fps,
        **{name: value for name, value in options.items() if value is not None},
    }
    headers = {"content-type": "application/json"}
    return Request("POST", "/lift", headers=headers, content=orjson.dumps(body))


def read_job(body: bytes | str) -> Job:
    document = _document(body)
    try:
        progress = document["progress"]
        return Job(
            id=document["id"],
            status=document["status"],
            stage=progress["stage"],
            done=progress["done"],
            total=progress["total"],
            remaining_s=progress.get("remaining_s"),
            document=document,
        )
    except (KeyError, TypeError) as error:
        raise _other_service() from error


def read_lifted(body: bytes) -> Lifted:
    document = _document(body)
    try:
        not_seen = (0.0, 0.0, 0.0)
        confidence = document.get("confidence")
        rows = [[row or not_seen for row in frame] for frame in document["keypoints"]]
        return Lifted(
            poses=np.array(document["poses"], np.float32),
            keypoints=np.array(rows, np.float32),
            model=(document["model"]["name"], document["model"]["version"]),
            applied=document["applied"],
            warnings=tuple(document["warnings"]),
            confidence=None if confidence is None else np.array(confidence, np.float32),
            root=np.array(document["root"], np.float32) if "root" in document else None,
            room=document.get("room"),
        )
    except (KeyError, TypeError) as error:
        raise _other_service() from error


def _document(body: bytes | str) -> Mapping[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _other_service() from error
    if not isinstance(document, dict):
        raise _other_service()
    return document


def _other_service() -> NoService:
    return NoService("the response is not one of poselift; check the URL")


def problem(response: httpx.Response) -> ServiceProblem:
    """The error of a response, already read, that is no success."""
    retry_after_s = _retry_after_s(response)
    try:
        return ServiceProblem.of(orjson.loads(response.content), retry_after_s)
    except (KeyError, TypeError, ValueError):
        # no problem document: from a proxy, for example
        title = response.reason_phrase or str(response.status_code)
        detail = f"{response.url} answered {response.status_code}"
        return ServiceProblem(response.status_code, title, detail, (), retry_after_s)


def pause_s(response: httpx.Response) -> float:
    """Seconds until a file that is not ready should be requested again; 0 if it is ready."""
    if response.status_code != httpx.codes.ACCEPTED:
        return 0.0
    return _retry_after_s(response) or POLL_S


def _retry_after_s(response: httpx.Response) -> float | None:
    """Seconds only: the service never sends a date."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None


def connection_error(error: httpx.TransportError, url: object) -> NoService:
    return NoService(f"{url}: {error or type(error).__name__}")


def is_temporary(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, ServiceProblem):
        return error.status in BUSY and (error.retry_after_s or 0) <= MAX_PAUSE_S
    return isinstance(error, NoService) and isinstance(error.__cause__, httpx.TransportError)


_back_off = wait_exponential(FIRST_PAUSE_S, MAX_PAUSE_S)


def retry_pause_s(state: RetryCallState) -> float:
    """Seconds until the next attempt: as the service requests, else exponential back-off."""
    error = state.outcome and state.outcome.exception()
    retry_after_s = getattr(error, "retry_after_s", None)
    return _back_off(state) if retry_after_s is None else float(retry_after_s)
