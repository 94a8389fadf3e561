"""Results as files that other tools open: one writer a file. See docs/formats.md."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from model.errors import InvalidInput, UnknownName
from model.files import written_whole
from model.formats.angles import write_angles
from model.formats.bvh import write_bvh
from model.formats.c3d import write_c3d
from model.formats.csv import write_csv
from model.formats.glb import write_glb
from model.formats.npz import read_npz, write_npz
from model.formats.trc import write_trc
from model.video.results import PersonMotion, VideoResult

Writer = Callable[[VideoResult, Path], None]


@dataclass(frozen=True)
class Format:
    """How a file of this kind is named, what HTTP calls it, and who writes it. Where `one_person`,
    the writer gets a result with exactly one person in it."""

    suffix: str
    media_type: str
    write: Writer
    one_person: bool = False


def _of_one(suffix: str, media_type: str, write: Callable[[PersonMotion, Path], None]) -> Format:
    return Format(suffix, media_type, lambda result, path: write(result.people[0], path), True)


FORMATS: Mapping[str, Format] = {
    "npz": Format(".npz", "application/octet-stream", write_npz),
    "csv": Format(".csv", "text/csv", write_csv),
    "angles": Format(".angles.csv", "text/csv", write_angles),
    "trc": _of_one(".trc", "text/tab-separated-values", write_trc),
    "bvh": _of_one(".bvh", "text/plain", write_bvh),
    "c3d": _of_one(".c3d", "application/octet-stream", write_c3d),
    "glb": _of_one(".glb", "model/gltf-binary", write_glb),
}


def write_motion(result: VideoResult, format: str, path: Path, person: int | None = None) -> None:
    """Write a result, or one person of it, as one of FORMATS; the file is complete or not there.

    `person` is an id of the result; it is needed where the format holds one person and the video
    has several. Raises UnknownName, and InvalidInput where a format that holds one person gets
    none or cannot tell which.
    """
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    chosen = _chosen(result, format, person)
    with written_whole(path) as part:
        FORMATS[format].write(chosen, part)


def _chosen(result: VideoResult, format: str, person: int | None) -> VideoResult:
    """The result with those people that go into the file."""
    ids = [one.id for one in result.people]
    if person is not None:
        if person not in ids:
            raise UnknownName("person", str(person), map(str, ids))
        return replace(result, people=(result.people[ids.index(person)],))
    if FORMATS[format].one_person and len(ids) != 1:
        found = f"people {', '.join(map(str, ids))}" if ids else "nobody"
        raise InvalidInput(f"{format} holds one person, the video shows {found}", ("person",))
    return result


__all__ = ["FORMATS", "Format", "read_npz", "write_motion"]
