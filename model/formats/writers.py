"""The formats in which results are written, and the function that writes them: docs/formats.md."""

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
    """A file suffix, HTTP media type and writer. If `one_person`, the writer needs a result with
    exactly one person."""

    suffix: str
    media_type: str
    write: Writer
    one_person: bool = False


def _one_person(
    suffix: str, media_type: str, write: Callable[[PersonMotion, float, Path], None]
) -> Format:
    def write_result(result: VideoResult, path: Path) -> None:
        write(result.people[0], result.video.duration_s, path)

    return Format(suffix, media_type, write_result, True)


FORMATS: Mapping[str, Format] = {
    "npz": Format(".npz", "application/octet-stream", write_npz),
    "csv": Format(".csv", "text/csv", write_csv),
    "angles": Format(".angles.csv", "text/csv", write_angles),
    "trc": _one_person(".trc", "text/tab-separated-values", write_trc),
    "bvh": _one_person(".bvh", "text/plain", write_bvh),
    "c3d": _one_person(".c3d", "application/octet-stream", write_c3d),
    "glb": _one_person(".glb", "model/gltf-binary", write_glb),
}


def write_motion(result: VideoResult, format: str, path: Path, person: int | None = None) -> None:
    """Write a result, or one person of it, in one of FORMATS; the file appears only when complete.

    `person` is an id; it is required if the format holds one person and the result has several.
    Raises UnknownName, and InvalidInput if a format for one person gets none or several.
    """
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    selected = _selected(result, format, person)
    with written_whole(path) as part:
        FORMATS[format].write(selected, part)


def _selected(result: VideoResult, format: str, person: int | None) -> VideoResult:
    """The result with only the people to write."""
    ids = [motion.id for motion in result.people]
    if person is not None:
        if person not in ids:
            raise UnknownName("person", str(person), map(str, ids))
        return replace(result, people=(result.people[ids.index(person)],))
    if FORMATS[format].one_person and len(ids) != 1:
        people = f"people {', '.join(map(str, ids))}: choose one" if ids else "nobody"
        raise InvalidInput(f"{format} holds one person, the video shows {people}", ("person",))
    return result


__all__ = ["FORMATS", "Format", "read_npz", "write_motion"]
