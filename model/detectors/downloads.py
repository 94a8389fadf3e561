"""Downloads: streamed to a file, resumed after an interruption, checked, and cached."""

import fcntl
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from model.errors import DetectorUnavailable, InvalidInput, TooLarge
from model.files import cache_folder, file_sha256

ATTEMPTS = 5
STALL_S = 30.0
"""The longest wait for the next bytes."""
MAX_REDIRECTS = 5
MAX_BYTES = 2 << 30
"""Of a model file."""


def download(
    url: str,
    path: Path,
    max_bytes: int,
    report: Callable[[int, int | None], None] = lambda done, total: None,
) -> None:
    """Stream the content of a URL to `path`; report(bytes so far, total if known) after each chunk.

    An existing `path` is resumed if the server still has the same file (its tag is stored beside
    it), else overwritten. Raises TooLarge before more than max_bytes are written, httpx.HTTPError
    and httpx.InvalidURL.
    """
    headers = {"Accept-Encoding": "identity"} | _resume_headers(path)
    with (
        httpx.Client(follow_redirects=True, max_redirects=MAX_REDIRECTS, timeout=STALL_S) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        _check_status(response, path)
        _beside(path, "tag").write_text(_strong_tag(response))
        is_rest = response.status_code == httpx.codes.PARTIAL_CONTENT
        with path.open("ab" if is_rest else "wb") as file:
            length = response.headers.get("Content-Length", "")
            total = file.tell() + int(length) if length.isdecimal() else None
            _check_size(url, total or 0, max_bytes)
            for chunk in response.iter_bytes():
                _check_size(url, file.tell() + len(chunk), max_bytes)
                file.write(chunk)
                report(file.tell(), total)


def _check_status(response: httpx.Response, path: Path) -> None:
    request = response.request
    if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        # nothing is missing, or the file has changed: the next attempt starts over
        path.unlink(missing_ok=True)
        raise httpx.ReadError("the server refused to resume", request=request)
    if not response.is_success:
        status = f"answered {response.status_code} {response.reason_phrase}"
        raise httpx.HTTPStatusError(status, request=request, response=response)


def _check_size(url: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise TooLarge(f"{url}: larger than {max_bytes / 1e6:g} MB")


def _resume_headers(path: Path) -> dict[str, str]:
    """Request the rest of the file, on condition that the server's file has not changed."""
    tag = _beside(path, "tag")
    if not path.exists() or not tag.exists() or not tag.read_text():
        return {}
    return {"Range": f"bytes={path.stat().st_size}-", "If-Range": tag.read_text()}


def _strong_tag(response: httpx.Response) -> str:
    """A validator that changes with every byte of the file; empty if the download cannot resume."""
    if "Content-Encoding" in response.headers:
        return ""  # ranges would count encoded bytes
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def cached_path(url: str) -> Path:
    """Where the download of a URL is cached."""
    base = re.sub(r"[^A-Za-z0-9._-]", "_", url.partition("?")[0].rpartition("/")[2])[-100:]
    return cache_folder() / "models" / hashlib.sha256(url.encode()).hexdigest()[:12] / base


def cached_download(url: str, sha256: str = "") -> Path:
    """The model file at a URL, downloaded on first use.

    `sha256` is the expected SHA-256 or its first 8 or more digits. Every use checks it, and the
    hash recorded at the first download. Raises InvalidInput for a malformed `sha256`,
    DetectorUnavailable if the download fails or a hash differs.
    """
    if not re.fullmatch(r"([0-9a-f]{8,64})?", sha256):
        raise InvalidInput(
            f"sha256 must be 8 to 64 hexadecimal digits, got {sha256[:80]!r}", ("detector",)
        )
    path = cached_path(url)
    try:
        with _locked(path):
            if not path.exists():
                _download_checked(url, path, sha256)
            _check_cached(path, sha256)
    except OSError as error:
        raise DetectorUnavailable(
            f"the cache folder {path.parent} cannot be used ({error.strerror}); "
            "set POSELIFT_CACHE to another folder"
        ) from error
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Exclusive among all processes; released when the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _beside(path, "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")


def _download_checked(url: str, path: Path, sha256: str) -> None:
    part = _beside(path, "part")
    _download_with_retries(url, part)
    actual = file_sha256(part)
    if not actual.startswith(sha256):
        part.unlink()
        raise DetectorUnavailable(
            f"{url}: expected sha256 {sha256}, got {actual}; the file was discarded"
        )
    _beside(path, "sha256").write_text(actual)
    part.replace(path)


def _download_with_retries(url: str, part: Path) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            download(url, part, MAX_BYTES)
            return
        except (httpx.HTTPError, httpx.InvalidURL, TooLarge) as error:
            if attempt == ATTEMPTS or not _is_temporary(error):
                reason = str(error) or type(error).__name__
                raise DetectorUnavailable(
                    f"{url} could not be downloaded ({reason}); try again to resume, or download "
                    "it elsewhere and give the file instead of the URL"
                ) from error


def _is_temporary(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return not error.response.is_client_error
    return isinstance(error, httpx.TransportError)


def _check_cached(path: Path, sha256: str) -> None:
    recorded, actual = _beside(path, "sha256").read_text(), file_sha256(path)
    for expected in (sha256, recorded):
        if not actual.startswith(expected):
            raise DetectorUnavailable(
                f"{path}: expected sha256 {expected}, got {actual}; delete the file and try again"
            )
