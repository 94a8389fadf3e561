"""The files that `poselift video` makes of one video: their names, and their writing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model import FORMATS, InvalidInput, UnknownName, VideoResult, write_motion
from service.cli.sources import OVERLAY_SUFFIX, Source
from service.results import write_video

JSON = "json"
OVERLAY = "overlay"
SUFFIXES: Mapping[str, str] = {
    JSON: ".json",
    **{name: kind.suffix for name, kind in FORMATS.items()},
}


@dataclass(frozen=True)
class Targets:
    """motions: format -> file; overlay: the film with its poses drawn; named: by the user, one by
    one."""

    motions: Mapping[str, Path]
    overlay: Path | None
    named: bool = False

    def all(self) -> list[Path]:
        return [*self.motions.values(), *([self.overlay] if self.overlay else [])]

    def missing(self) -> "Targets":
        """Those that are not there yet."""
        motions = {
            format: path for format, path in self.motions.items() if not _is_there(format, path)
        }
        drawn = self.overlay is not None and self.overlay.exists()
        return Targets(motions, None if drawn else self.overlay, self.named)

    def write(self, result: VideoResult) -> list[str]:
        """Write the motions; gives warnings. A format that holds one person becomes one file for
        each, numbered where there are several."""
        warnings = []
        for format, path in self.motions.items():
            if format == JSON:
                write_video(result, path)
            elif not FORMATS[format].one_person or len(result.people) == 1:
                write_motion(result, format, path)
            else:
                for person in result.people:
                    numbered = _numbered(path, format, person.id)
                    write_motion(result, format, numbered, person.id)
                if not result.people:
                    warnings.append(f"nobody is in the video: no {format} was written")
        return warnings


def _numbered(path: Path, format: str, person: int) -> Path:
    suffix = SUFFIXES[format]
    return path.with_name(f"{path.name.removesuffix(suffix)}-{person}{suffix}")


def _is_there(format: str, path: Path) -> bool:
    one_person = format != JSON and FORMATS[format].one_person
    return path.exists() or (one_person and _numbered(path, format, 1).exists())


def targets(
    found: Sequence[Source], output: Path | None, formats: str | None, overlay: Path | None
) -> list[Targets]:
    """What each video is to become. Raises InvalidInput, before any work, for what cannot be."""
    format = None if output is None else _format_of(output)
    if output is None or format is not None:
        return [_of_one(found, output, format, formats, overlay)]
    if overlay is not None:
        raise InvalidInput(f"with a folder of results, --format {OVERLAY} draws them")
    if output.exists() and not output.is_dir():
        raise InvalidInput(f"{output} is a file; give a folder, or a name ending in {_known()}")
    named = _read_formats(formats)
    _check_apart(found, output)
    return [_in_folder(output, source.stem, named) for source in found]


def _of_one(
    found: Sequence[Source],
    output: Path | None,
    format: str | None,
    formats: str | None,
    overlay: Path | None,
) -> Targets:
    if output is None and overlay is None:
        raise InvalidInput("say where the result goes: -o FOLDER, -o poses.npz, --overlay out.mp4")
    if len(found) != 1:
        raise InvalidInput(f"{len(found)} videos do not fit into one file; give -o FOLDER")
    if formats is not None:
        raise InvalidInput("--format is for -o FOLDER; a file's name says its format")
    if overlay is not None and overlay.suffix.lower() != ".mp4":
        raise InvalidInput(f"{overlay}: the name ends in .mp4")
    one = Targets({format: output} if output and format else {}, overlay, named=True)
    for path in one.all():
        _check_place(path, found[0])
    return one


def _check_place(path: Path, source: Source) -> None:
    if not path.parent.is_dir():
        raise InvalidInput(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder")
    if path.exists() and Path(source.name).exists() and path.samefile(source.name):
        raise InvalidInput(f"{path} is the video itself")


def _format_of(output: Path) -> str | None:
    """The format that a file's name says; None: it names a folder."""
    if output.is_dir():
        return None
    name = output.name.lower()
    fitting = [format for format, suffix in SUFFIXES.items() if name.endswith(suffix)]
    if not fitting and output.suffix:
        raise InvalidInput(f"{output}: the name ends in {_known()}, or is that of a folder")
    return max(fitting, key=lambda format: len(SUFFIXES[format]), default=None)


def _known() -> str:
    return ", ".join(SUFFIXES.values())


def _read_formats(formats: str | None) -> list[str]:
    named = (formats or JSON).split(",")
    for name in named:
        if name not in (*SUFFIXES, OVERLAY):
            raise UnknownName("format", name, (*SUFFIXES, OVERLAY))
    return named


def _check_apart(found: Sequence[Source], folder: Path) -> None:
    """Two videos must not become the same file."""
    by_stem = defaultdict(list)
    for source in found:
        by_stem[source.stem].append(source.name)
    for stem, names in by_stem.items():
        if len(names) > 1:
            raise InvalidInput(
                f"{' and '.join(names)} would both become {folder / stem}.*; give one at a time"
            )


def _in_folder(folder: Path, stem: str, formats: Sequence[str]) -> Targets:
    motions = {name: folder / (stem + SUFFIXES[name]) for name in formats if name != OVERLAY}
    return Targets(motions, folder / (stem + OVERLAY_SUFFIX) if OVERLAY in formats else None)
