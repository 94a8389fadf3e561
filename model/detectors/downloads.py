"""Model files from the network: fetched once, whole, checked, and kept.

A download that breaks off goes on where it stopped, now or the next time it is asked for.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from model.errors import DetectorUnavailable, InvalidInput

DEFAULT_CACHE = "~/.cache/poselift"
"""Another folder by the environment's POSELIFT_CACHE."""
ATTEMPTS = 5
STALL_S = 30.0
"""A server that sends nothing for so long is given up."""
MAX_BYTES = 2 << 30


def cache_folder() -> Path:
    """Where downloads, and what is made once, are kept."""
    return Path(os.path.expanduser(os.environ.get("POSELIFT_CACHE") or DEFAULT_CACHE))


def cached_path(url: str) -> Path:
    """Where the download of a URL is kept."""
    base = re.sub(r"[^A-Za-z0-9._-]", "_", url.partition("?")[0].rpartition("/")[2])[-100:]
    return cache_folder() / "models" / hashlib.sha256(url.encode()).hexdigest()[:12] / base


def fetched(url: str, sha256: str = "") -> Path:
    """The file behind a URL, from the cache where it was fetched before.

    `sha256` is what its SHA-256 is, or begins with; without it, what the first download had is
    written down, and every later use is held against that. Raises InvalidInput for what is no
    sha256, DetectorUnavailable where it cannot be fetched or is another file.
    """
    if not re.fullmatch(r"([0-9a-f]{8,64})?", sha256):
        raise InvalidInput(f"a sha256 is hexadecimal digits, got {sha256[:80]!r}", ("detector",))
    path = cached_path(url)
    try:
        with _locked(path):
            if not path.exists():
                _fetch(url, path, sha256)
            _check(path, sha256)
    except OSError as error:
        raise DetectorUnavailable(
            f"the cache {path.parent} cannot be used ({error.strerror}); "
            "POSELIFT_CACHE names another"
        ) from error
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One at a time, of all processes; the lock goes with the process that held it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _beside(path, "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")


def _fetch(url: str, path: Path, sha256: str) -> None:
    part = _beside(path, "part")
    _receive_all(url, part)
    found = _sha256(part)
    if not found.startswith(sha256):
        part.unlink()
        raise DetectorUnavailable(f"{url} has the sha256 {found}, expected {sha256}: not used")
    _beside(path, "sha256").write_text(found)
    os.replace(part, path)


def _receive_all(url: str, part: Path) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _receive(url, part)
            return
        except httpx.HTTPStatusError as error:
            if attempt == ATTEMPTS or error.response.is_client_error:
                raise _failed(url, f"the answer was {error.response.status_code}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if attempt == ATTEMPTS or not isinstance(error, httpx.TransportError):
                raise _failed(url, str(error) or type(error).__name__) from error


def _failed(url: str, why: str) -> DetectorUnavailable:
    return DetectorUnavailable(
        f"{url} could not be downloaded ({why}); try again, which goes on where it stopped, or "
        "fetch it elsewhere and name the file instead of the address"
    )


def _receive(url: str, part: Path) -> None:
    """What is missing of it, added to what is there if the server still has the same file."""
    headers = {"Accept-Encoding": "identity"} | _resuming(part)
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=STALL_S) as reply:
        if reply.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            # nothing is missing, or it is another file now: from the start
            part.unlink(missing_ok=True)
            raise httpx.ReadError("the rest of the file was refused", request=reply.request)
        reply.raise_for_status()
        _beside(part, "tag").write_text(_strong_tag(reply))
        with part.open("ab" if reply.status_code == httpx.codes.PARTIAL_CONTENT else "wb") as file:
            for chunk in reply.iter_raw():
                file.write(chunk)
                if file.tell() > MAX_BYTES:
                    raise httpx.DecodingError(f"more than {MAX_BYTES} bytes", request=reply.request)


def _resuming(part: Path) -> dict[str, str]:
    """Headers that ask for the rest, if the server's file is still the one that was begun."""
    tag = _beside(part, "tag")
    if not part.exists() or not tag.exists() or not tag.read_text():
        return {}
    return {"Range": f"bytes={part.stat().st_size}-", "If-Range": tag.read_text()}


def _strong_tag(reply: httpx.Response) -> str:
    """What says that a file is still the same, byte for byte; empty where the server says none."""
    tag = reply.headers.get("ETag", "")
    return tag if tag.startswith('"') else reply.headers.get("Last-Modified", "")


def _check(path: Path, sha256: str) -> None:
    recorded, found = _beside(path, "sha256").read_text(), _sha256(path)
    for expected in (sha256, recorded):
        if not found.startswith(expected):
            raise DetectorUnavailable(
                f"{path} has the sha256 {found}, expected {expected}; remove it and try again"
            )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
