"""The videos of `poselift video`: files, folders and URLs -> files on the disk."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import httpx

from model import InvalidInput, Progress, TooLarge, container_of, download

SCHEMES = ("http://", "https://")
SNIFFED_BYTES = 1024
OVERLAY_SUFFIX = ".overlay.mp4"


@dataclass(frozen=True)
class Source:
    """A video by the name that the user typed; results are named after `stem`."""

    name: str
    stem: str

    @property
    def is_url(self) -> bool:
        return self.name.startswith(SCHEMES)

    @contextmanager
    def on_disk(self, max_bytes: int, progress: Progress) -> Iterator[Path]:
        """The file; a download is deleted afterwards. Raises InvalidInput, TooLarge."""
        if not self.is_url:
            yield Path(self.name)
            return
        with tempfile.TemporaryDirectory(prefix="poselift-") as folder:
            path = Path(folder) / "video"
            download_video(self.name, path, max_bytes, progress)
            yield path


def sources(names: Sequence[str]) -> list[Source]:
    """The videos of these names; of a folder, the files that begin as a video does, without hidden
    files and overlays. Raises InvalidInput for a folder without videos, and OSError."""
    videos = []
    for name in names:
        if name.startswith(SCHEMES):
            videos.append(Source(name, _stem_of_url(name)))
        elif Path(name).is_dir():
            videos += [Source(str(path), path.stem) for path in _videos_in(Path(name))]
        else:
            videos.append(Source(name, Path(name).stem))
    return videos


def _stem_of_url(url: str) -> str:
    parts = urlsplit(url)
    # neither an encoded slash nor a name of dots may lead out of the results folder
    name = PurePosixPath(unquote(parts.path).replace("\0", "")).name
    return PurePosixPath(name).stem.strip(".") or parts.hostname or "video"


def _videos_in(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    candidates = [
        p for p in files if not p.name.startswith(".") and not p.name.endswith(OVERLAY_SUFFIX)
    ]
    videos = [path for path in candidates if _begins_as_video(path)]
    if not videos:
        raise InvalidInput(f"{folder}: none of the {len(files)} files in this folder is a video")
    return videos


def _begins_as_video(path: Path) -> bool:
    with path.open("rb") as file:
        return container_of(file.read(SNIFFED_BYTES)) is not None


def download_video(url: str, path: Path, max_bytes: int, progress: Progress) -> None:
    """Download over http(s) to a file. Raises InvalidInput, and TooLarge before more than max_bytes
    are written."""
    try:
        download(url, path, max_bytes, partial(progress, "downloading"))
    except TooLarge as error:
        raise TooLarge(f"{error}; POSELIFT_MAX_UPLOAD_MB sets the limit") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InvalidInput(f"{url}: {str(error) or type(error).__name__}") from error
