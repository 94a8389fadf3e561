"""Results as files, written atomically: JSON as on the wire, or a format of model.formats."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model import FORMATS, InvalidInput, VideoResult, read_npz, write_motion, written_whole
from service.wire.documents import dump, read_video_document, video_document
from service.wire.lift import lift_document, lift_result

JSON = "json"
SUFFIXES: Mapping[str, str] = {
    JSON: ".json",
    **{name: kind.suffix for name, kind in FORMATS.items()},
}
KNOWN_SUFFIXES = ", ".join(SUFFIXES.values())


def format_of(path: Path) -> str | None:
    """The format of a file name's suffix, the longest that fits; None for an unknown one."""
    formats = [name for name, suffix in SUFFIXES.items() if path.name.lower().endswith(suffix)]
    return max(formats, key=lambda name: len(SUFFIXES[name]), default=None)


def check_place(path: Path) -> None:
    """Raises InvalidInput if the file cannot be written; called before the work."""
    if not path.parent.is_dir():
        raise InvalidInput(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder")


def format_to_write(path: Path) -> str:
    """The format of a file to write; raises InvalidInput if it cannot be written."""
    format = format_of(path)
    if format is None:
        raise InvalidInput(f"{path}: the name ends in {KNOWN_SUFFIXES}")
    check_place(path)
    return format


def write_lift(result: VideoResult, path: Path) -> None:
    """Write the result of one person's keypoints in the format of the file's suffix."""
    format = format_to_write(path)
    if format == JSON:
        _write_json(lift_document(lift_result(result)), path)
    else:
        write_motion(result, format, path)


def write_video(result: VideoResult, path: Path) -> None:
    if path.suffix.lower() == SUFFIXES[JSON]:
        _write_json(video_document(result), path)
    else:
        write_motion(result, "npz", path)


def read_result(path: Path) -> VideoResult:
    """Read a file of write_video; raises InvalidInput and OSError."""
    format = format_of(path)
    if format == "npz":
        return read_npz(path)
    if format != JSON:
        raise InvalidInput(f"{path}: a result to read is a .json or .npz file")
    return read_video_document(path.read_bytes(), str(path))


def _write_json(document: dict[str, Any], path: Path) -> None:
    with written_whole(path) as part:
        part.write_bytes(dump(document))
