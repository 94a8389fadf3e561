"""What `poselift video` is given: files, folders and addresses -> videos on the disk."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import httpx

from model import InvalidInput, Progress, TooLarge, container_of

SCHEMES = ("http://", "https://")
MAX_REDIRECTS = 5
STALL_S = 30.0
"""A download that gives nothing for so long has ended."""
SNIFFED_BYTES = 1024
OVERLAY_SUFFIX = ".overlay.mp4"


@dataclass(frozen=True)
class Source:
    """A video, by the name that the user gave; results are named after `stem`."""

    name: str
    stem: str

    @property
    def is_url(self) -> bool:
        return self.name.startswith(SCHEMES)

    @contextmanager
    def on_disk(self, max_bytes: int, progress: Progress) -> Iterator[Path]:
        """The file; one that was downloaded is gone afterwards. Raises InvalidInput, TooLarge."""
        if not self.is_url:
            yield Path(self.name)
            return
        with tempfile.TemporaryDirectory(prefix="poselift-") as folder:
            path = Path(folder) / "video"
            download(self.name, path, max_bytes, progress)
            yield path


def sources(given: Sequence[str]) -> list[Source]:
    """Every video that is meant: of a folder those files, hidden ones and overlays left out, that
    begin as a video does. Raises InvalidInput for a folder without any, and OSError."""
    found = []
    for name in given:
        if name.startswith(SCHEMES):
            found.append(Source(name, _stem_of_url(name)))
        elif Path(name).is_dir():
            found += [Source(str(path), path.stem) for path in _videos_in(Path(name))]
        else:
            found.append(Source(name, Path(name).stem))
    return found


def _stem_of_url(url: str) -> str:
    parts = urlsplit(url)
    # neither a quoted slash nor a name of dots may lead out of the folder of results
    name = PurePosixPath(unquote(parts.path).replace("\0", "")).name
    return PurePosixPath(name).stem.strip(".") or parts.hostname or "video"


def _videos_in(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    named = [p for p in files if not p.name.startswith(".") and not p.name.endswith(OVERLAY_SUFFIX)]
    videos = [path for path in named if _begins_as_video(path)]
    if not videos:
        raise InvalidInput(f"{folder}: none of the {len(files)} files in this folder is a video")
    return videos


def _begins_as_video(path: Path) -> bool:
    with path.open("rb") as file:
        return container_of(file.read(SNIFFED_BYTES)) is not None


def download(url: str, path: Path, max_bytes: int, progress: Progress) -> None:
    """What http(s) gives, streamed to a file. Raises InvalidInput, and TooLarge before more than
    that is written."""
    try:
        with (
            httpx.Client(
                follow_redirects=True, max_redirects=MAX_REDIRECTS, timeout=STALL_S
            ) as client,
            client.stream("GET", url, headers={"accept-encoding": "identity"}) as response,
        ):
            _check(response, url, max_bytes)
            _write(response, url, path, max_bytes, progress)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InvalidInput(f"{url}: {error or type(error).__name__}") from error


def _check(response: httpx.Response, url: str, max_bytes: int) -> None:
    if not response.is_success:
        raise InvalidInput(f"{url}: answered {response.status_code} {response.reason_phrase}")
    if (declared := _declared(response)) and declared > max_bytes:
        raise _too_large(url, max_bytes)


def _write(
    response: httpx.Response, url: str, path: Path, max_bytes: int, progress: Progress
) -> None:
    done = 0
    with path.open("wb") as file:
        for chunk in response.iter_bytes():
            done += len(chunk)
            if done > max_bytes:
                raise _too_large(url, max_bytes)
            file.write(chunk)
            progress("downloading", done, _declared(response))


def _declared(response: httpx.Response) -> int | None:
    length = response.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


def _too_large(url: str, max_bytes: int) -> TooLarge:
    return TooLarge(
        f"{url}: larger than {max_bytes / 1e6:g} MB; POSELIFT_MAX_UPLOAD_MB sets the limit"
    )
