"""What a client says to the service and what it hears, without sending anything.

PoseError
├── ServiceProblem   the service refused, or its work failed
└── NoService        nothing that answers as the service does is there
"""

import io
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
from numpy.typing import ArrayLike, NDArray
from tenacity import RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential

from model import InvalidInput, PoseError

UploadProgress = Callable[[int, int], None]
"""Called with the bytes sent and how many there are; begins anew where an upload is repeated."""

BUSY = (429, 502, 503, 504)
"""Statuses after which the same request may succeed."""
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 60.0
POLL_S = 1.0
"""Between two looks at a job whose events cannot be heard."""
RESULT_WAIT = {"Prefer": "wait=20"}


class ServiceProblem(PoseError):
    """A problem document (RFC 9457): status, title, detail, and `where` the first bad value is, as
    in ("keypoints", 3, 5). `retry_after_s` is what the service asks to wait, where it does."""

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
    """The service cannot be reached, the connection broke, or something else answers there."""


@dataclass(frozen=True)
class Ask:
    """One request. `upload` is sent as the form's file; `once`: not to be repeated."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    upload: Path | None = None
    progress: UploadProgress | None = None
    once: bool = False

    @contextmanager
    def arguments(self) -> Iterator[dict[str, Any]]:
        """What httpx's `request` and `stream` take; an upload is open meanwhile."""
        given: dict[str, Any] = {
            "method": self.method,
            "url": self.path,
            "params": {name: value for name, value in self.params.items() if value is not None},
            "headers": self.headers,
            "content": self.content,
        }
        if self.upload is None:
            yield given
            return
        with _Upload(self.upload, self.progress) as file:
            yield given | {"files": {"file": ("video", file)}}


class _Upload(io.FileIO):
    """A file that tells how much of it was read."""

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
    """How far a video is. `stage` with `done` of `total` frames; `remaining_s` is a guess;
    `document` is the whole of GET /jobs/{id}."""

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
        """Itself; raises ServiceProblem where it ended without a result."""
        if "error" in self.document:
            raise ServiceProblem.of(self.document["error"])
        if self.status == "cancelled":
            raise ServiceProblem(410, "Gone", f"job {self.id} was cancelled")
        return self


@dataclass(frozen=True)
class Lifted:
    """The answer of POST /lift: poses (T, 17, 3) m and the 2D as lifted, keypoints (T, 17, 3) x, y
    px and score (0: not seen), both H36M-17; model is (name, version); confidence (T, 17) 0..1 of
    each joint, None where the model gives none. With `space` camera or world root (T, 3) m is the
    pelvis in camera axes; with world, room is what JSON says of it."""

    poses: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    model: tuple[str, str]
    applied: Mapping[str, Any]
    warnings: tuple[str, ...]
    confidence: NDArray[np.float32] | None = None
    root: NDArray[np.float32] | None = None
    room: Mapping[str, Any] | None = None


def ask_lift(
    keypoints: ArrayLike,
    image_size: tuple[int, int],
    fps: float,
    skeleton: str,
    options: Mapping[str, Any],
) -> Ask:
    """Keypoints (T, J, 2 or 3): x, y px and score; rows with NaN are not seen."""
    rows = np.asarray(keypoints, np.float64)
    if rows.ndim != 3:
        raise InvalidInput(f"keypoints are (frames, joints, 2 or 3), got {rows.shape}")
    seen = ~np.isnan(rows).any(axis=-1)
    listed = [
        [row if sure else None for row, sure in zip(frame, known, strict=True)]
        for frame, known in zip(rows.tolist(), seen.tolist(), strict=True)
    ]
    body = {
        "keypoints": listed,
        "skeleton": skeleton,
        "image_size": list(image_size),
        "fps": fps,
        **{name: value for name, value in options.items() if value is not None},
    }
    headers = {"content-type": "application/json"}
    return Ask("POST", "/lift", headers=headers, content=orjson.dumps(body))


def ask_video(
    video: Path, options: Mapping[str, Any], key: str | None, progress: UploadProgress | None
) -> Ask:
    """An upload that becomes a job; the key makes a repeated one the same job."""
    headers = {"Prefer": "respond-async", "Idempotency-Key": key or secrets.token_hex(16)}
    return Ask("POST", "/video", options, headers, upload=video, progress=progress)


def ask_job(id: str) -> Ask:
    return Ask("GET", f"/jobs/{id}")


def ask_cancel(id: str) -> Ask:
    return Ask("DELETE", f"/jobs/{id}", once=True)


def ask_result(id: str, format: str, person: int | None, space: str | None) -> Ask:
    asked = {"format": format, "person": person, "space": space}
    return Ask("GET", f"/jobs/{id}/result", asked, RESULT_WAIT)


def ask_overlay(id: str) -> Ask:
    return Ask("GET", f"/jobs/{id}/overlay", headers=RESULT_WAIT)


def events_of(id: str) -> str:
    return f"/jobs/{id}/events"


def read_job(body: bytes | str) -> Job:
    document = _document(body)
    try:
        now = document["progress"]
        return Job(
            id=document["id"],
            status=document["status"],
            stage=now["stage"],
            done=now["done"],
            total=now["total"],
            remaining_s=now.get("remaining_s"),
            document=document,
        )
    except (KeyError, TypeError) as error:
        raise _other_service() from error


def read_lifted(body: bytes) -> Lifted:
    document = _document(body)
    try:
        unseen = (0.0, 0.0, 0.0)
        sure = document.get("confidence")
        rows = [[row or unseen for row in frame] for frame in document["keypoints"]]
        return Lifted(
            poses=np.array(document["poses"], np.float32),
            keypoints=np.array(rows, np.float32),
            model=(document["model"]["name"], document["model"]["version"]),
            applied=document["applied"],
            warnings=tuple(document["warnings"]),
            confidence=None if sure is None else np.array(sure, np.float32),
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
    return NoService("what answers there does not answer as poselift does")


def check(response: httpx.Response) -> None:
    """Raises ServiceProblem for a reply, read whole, that is no success."""
    if not response.is_success:
        raise _problem(response, _retry_after_s(response))


def _problem(response: httpx.Response, retry_after_s: float | None) -> ServiceProblem:
    try:
        return ServiceProblem.of(orjson.loads(response.content), retry_after_s)
    except (KeyError, TypeError, ValueError):
        # a proxy's, say
        title = response.reason_phrase or str(response.status_code)
        detail = f"{response.url} answered {response.status_code}"
        return ServiceProblem(response.status_code, title, detail, (), retry_after_s)


def pause_of(response: httpx.Response) -> float:
    """Seconds after which to ask again for a file that is still being made; 0: here it is."""
    if response.status_code != httpx.codes.ACCEPTED:
        return 0.0
    return _retry_after_s(response) or POLL_S


def _retry_after_s(response: httpx.Response) -> float | None:
    """In seconds; dates, which our service never sends, count as none."""
    given = response.headers.get("retry-after", "")
    return float(given) if given.isdecimal() else None


def broken(error: httpx.TransportError, url: object) -> NoService:
    return NoService(f"{url}: {error or type(error).__name__}")


def retrying(attempts: int) -> dict[str, Any]:
    """tenacity's settings: exponential back-off, or as long as the service asks for."""
    return {
        "stop": stop_after_attempt(attempts),
        "retry": retry_if_exception(_may_pass),
        "wait": _pause_s,
        "reraise": True,
    }


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, ServiceProblem):
        return error.status in BUSY and (error.retry_after_s or 0) <= MAX_PAUSE_S
    return isinstance(error, NoService) and isinstance(error.__cause__, httpx.TransportError)


_back_off = wait_exponential(FIRST_PAUSE_S, MAX_PAUSE_S)


def _pause_s(state: RetryCallState) -> float:
    error = state.outcome and state.outcome.exception()
    asked_s = getattr(error, "retry_after_s", None)
    return _back_off(state) if asked_s is None else float(asked_s)
