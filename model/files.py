"""Whole files, their hashes, and the cache folder."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEFAULT_CACHE = "~/.cache/poselift"


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same suffix, to write to. It replaces `path` on
    success and is deleted on failure, so readers never see a partial file."""
    part = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Folder of downloaded and generated files: POSELIFT_CACHE, else ~/.cache/poselift."""
    return Path(os.path.expanduser(os.environ.get("POSELIFT_CACHE") or DEFAULT_CACHE))
