"""The output files of `poselift video`: their names, and writing them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model import FORMATS, InvalidInput, UnknownName, VideoResult, write_motion
from service.cli.sources import OVERLAY_SUFFIX, Source
from service.wire.files import JSON, KNOWN_SUFFIXES, SUFFIXES, check_place, format_of, write_video

OVERLAY = "overlay"


@dataclass(frozen=True)
class Targets:
    """The output files of one video. motions: format -> file; overlay: the video with its poses
    drawn; named: the files that the user named."""

    motions: Mapping[str, Path]
    overlay: Path | None
    named: Sequence[Path] = ()

    def all(self) -> list[Path]:
        return [*self.motions.values(), *([self.overlay] if self.overlay else [])]

    def missing(self) -> "Targets":
        """The files that do not exist yet."""
        motions = {
            format: path for format, path in self.motions.items() if not _exists(format, path)
        }
        overlay = None if self.overlay and self.overlay.exists() else self.overlay
        return Targets(motions, overlay, self.named)

    def write(self, result: VideoResult) -> list[str]:
        """Write the motions; returns warnings. A format that holds one person becomes a file for
        each person, numbered if there are several."""
        warnings = []
        for format, path in self.motions.items():
            files = _files(format, path, result)
            for file, person in files.items():
                if format == JSON:
                    write_video(result, file)
                else:
                    write_motion(result, format, file, person)
            if not files:
                warnings.append(f"nobody was found in the video: no {format} was written")
        return warnings

    def written(self, result: VideoResult) -> list[Path]:
        """Every file made of `result`."""
        motions = [file for f, path in self.motions.items() for file in _files(f, path, result)]
        return [*motions, *([self.overlay] if self.overlay else [])]


def _files(format: str, path: Path, result: VideoResult) -> dict[Path, int | None]:
    """Files of one format -> the id of the only person in it; None for a file of all people."""
    if format == JSON or not FORMATS[format].one_person or len(result.people) == 1:
        return {path: None}
    return {_numbered(path, format, person.id): person.id for person in result.people}


def _numbered(path: Path, format: str, person: int) -> Path:
    suffix = SUFFIXES[format]
    return path.with_name(f"{path.name.removesuffix(suffix)}-{person}{suffix}")


def _exists(format: str, path: Path) -> bool:
    one_person = format != JSON and FORMATS[format].one_person
    return path.exists() or (one_person and _numbered(path, format, 1).exists())


def targets(
    videos: Sequence[Source], output: Path | None, formats: str | None, overlay: Path | bool
) -> list[Targets]:
    """The output files of each video. `overlay` is a file, or whether to write one beside the other
    results; without `output` they go to the current folder. Raises InvalidInput for options that
    contradict each other."""
    if output is None and formats is None and not overlay:
        raise InvalidInput(
            "no output: use -o FOLDER, -o poses.npz or --overlay out.mp4; "
            "for the current folder, --format bvh or --overlay"
        )
    format = None if output is None else _format_of(output)
    if (format or isinstance(overlay, Path)) and len(videos) != 1:
        raise InvalidInput(f"{len(videos)} videos do not fit into one file; use -o FOLDER")
    if output is None or format is None:
        return _in_folder(videos, output, formats, overlay)
    if formats is not None:
        raise InvalidInput("--format is for -o FOLDER; the suffix of a file sets its format")
    _check_file(output, videos[0])
    drawn = _overlay_path(videos[0], output.parent, overlay)
    return [Targets({format: output}, drawn, _named(output, overlay))]


def _in_folder(
    videos: Sequence[Source], output: Path | None, formats: str | None, overlay: Path | bool
) -> list[Targets]:
    """The default format is json with `output`, none without."""
    folder = output or Path()
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(
            f"{folder} is a file; use a folder, or a name ending in {KNOWN_SUFFIXES}"
        )
    names = _read_formats(JSON if formats is None and output is not None else formats)
    _check_apart(videos, folder)
    planned = []
    for source in videos:
        motions = {n: folder / (source.stem + SUFFIXES[n]) for n in names if n != OVERLAY}
        drawn = _overlay_path(source, folder, overlay or OVERLAY in names)
        planned.append(Targets(motions, drawn, _named(overlay)))
    return planned


def _overlay_path(source: Source, folder: Path, overlay: Path | bool) -> Path | None:
    if isinstance(overlay, bool):
        return folder / (source.stem + OVERLAY_SUFFIX) if overlay else None
    if overlay.suffix.lower() != ".mp4":
        raise InvalidInput(f"{overlay}: the name must end in .mp4")
    _check_file(overlay, source)
    return overlay


def _named(*paths: Path | bool) -> list[Path]:
    return [path for path in paths if isinstance(path, Path)]


def _check_file(path: Path, source: Source) -> None:
    check_place(path)
    if path.exists() and Path(source.name).exists() and path.samefile(source.name):
        raise InvalidInput(f"{path} is the video itself")


def _format_of(output: Path) -> str | None:
    """The format of a file by its suffix; None for a folder."""
    if output.is_dir():
        return None
    format = format_of(output)
    if format is None and output.suffix:
        raise InvalidInput(f"{output}: the name must end in {KNOWN_SUFFIXES}, or be a folder")
    return format


def _read_formats(formats: str | None) -> dict[str, None]:
    """The names in order, without duplicates."""
    names = dict.fromkeys([] if formats is None else formats.split(","))
    for name in names:
        if name not in (*SUFFIXES, OVERLAY):
            raise UnknownName("format", name, (*SUFFIXES, OVERLAY))
    return names


def _check_apart(videos: Sequence[Source], folder: Path) -> None:
    """Raises InvalidInput if two videos would write the same file."""
    by_stem = defaultdict(list)
    for source in videos:
        by_stem[source.stem].append(source.name)
    for stem, names in by_stem.items():
        if len(names) > 1:
            raise InvalidInput(
                f"{' and '.join(names)} would both write {folder / stem}.*; lift one at a time"
            )
