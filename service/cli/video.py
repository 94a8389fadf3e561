"""`poselift video`: one video or many, here or on a server."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path

from model import (
    InvalidInput,
    PoseError,
    Progress,
    VideoOptions,
    VideoResult,
    lift_video,
    render_overlay,
)
from service.cli.sources import Source, sources
from service.cli.targets import Targets, targets
from service.cli.terminal import bar, in_words, people_in, report, say, warn
from service.client.client import Client
from service.lifting.lifters import Lifters
from service.settings import Settings, read_settings

Draw = Callable[[Path, Progress], Sequence[str]]
"""Gives warnings."""
Lift = Callable[[Path, Progress], tuple[VideoResult, Draw]]
"""A video -> its result, and what draws it into a file."""


def video(asked: argparse.Namespace) -> int:
    """Lift each video, whatever becomes of the others: 1 where one failed. Raises PoseError,
    before any work, for what can be of none."""
    videos, overlay = _videos_and_overlay(asked)
    found = sources(videos)
    planned = targets(found, asked.output, asked.format, overlay)
    settings = read_settings()
    failed = 0
    with _here(asked, settings) if asked.server is None else _there(asked) as lift:
        for place, (source, wanted) in enumerate(zip(found, planned, strict=True), 1):
            of = source.stem if len(found) == 1 else f"{place}/{len(found)} {source.stem}"
            try:
                _make(source, _to_make(wanted, asked), lift, settings, of)
            except (PoseError, OSError) as error:
                failed += 1
                say(_named(source, in_words(error)))
    return 1 if failed else 0


def _videos_and_overlay(asked: argparse.Namespace) -> tuple[list[str], Path | bool]:
    """What stands after --overlay is its file; where no video stands elsewhere, it is the video."""
    if asked.videos:
        return asked.videos, asked.overlay
    if isinstance(asked.overlay, Path):
        return [str(asked.overlay)], True
    raise InvalidInput("say which videos: poselift video VIDEO ...")


def _named(source: Source, words: str) -> str:
    return words if words.startswith(source.name) else f"{source.name}: {words}"


def _to_make(wanted: Targets, asked: argparse.Namespace) -> Targets:
    """What is there already is kept, so that a run that was cut short goes on where it was; where
    the file itself was named, that it is there is an error, lest an old result pass for a new."""
    if asked.overwrite:
        return wanted
    missing = wanted.missing()
    kept = [path for path in wanted.all() if path not in missing.all()]
    words = f"{', '.join(map(str, kept))}: there already; --overwrite makes it anew"
    if set(kept) & set(wanted.named):
        raise InvalidInput(words)
    if kept:
        say(words)
    return missing


def _make(source: Source, wanted: Targets, lift: Lift, settings: Settings, of: str) -> None:
    if not wanted.all():
        return
    with bar(of) as progress, source.on_disk(settings.max_upload_bytes, progress) as path:
        result, draw = lift(path, progress)
        for target in wanted.all():
            target.parent.mkdir(parents=True, exist_ok=True)
        warnings = [*result.warnings, *wanted.write(result)]
        if wanted.overlay:
            warnings += draw(wanted.overlay, progress)
    warn(warnings, source.name)
    report(source.name, people_in(result), wanted.written(result))


@contextmanager
def _here(asked: argparse.Namespace, settings: Settings) -> Iterator[Lift]:
    """With this machine's own models; raises PoseError where they cannot do it."""
    options = _options(asked, asked.detector or settings.detector)
    lifter = Lifters(settings).get(asked.model)
    lifter.check(options)

    def lift(path: Path, progress: Progress) -> tuple[VideoResult, Draw]:
        result = lift_video(path, lifter, options, progress)
        return result, lambda out, told: render_overlay(path, result, out, told)

    yield lift


@contextmanager
def _there(asked: argparse.Namespace) -> Iterator[Lift]:
    """By a server, which is also told of an interruption."""
    given = asdict(_options(asked, VideoOptions().detector))
    options = {**given, "detector": asked.detector, "model": asked.model}
    with Client(asked.server) as client:

        def lift(path: Path, progress: Progress) -> tuple[VideoResult, Draw]:
            job = client.submit(
                path, options, progress=lambda done, total: progress("uploading", done, total)
            )
            try:
                for now in client.follow(job.id):
                    progress(now.stage, now.done, now.total)
            except KeyboardInterrupt:
                with suppress(PoseError):
                    client.cancel(job.id)
                raise
            now.check()

            def draw(out: Path, progress: Progress) -> Sequence[str]:
                client.save_overlay(job.id, out)
                return ()

            return client.result(job.id), draw

        yield lift


def _options(asked: argparse.Namespace, detector: str) -> VideoOptions:
    names = {field.name for field in fields(VideoOptions)} - {"detector"}
    return VideoOptions(detector=detector, **{name: getattr(asked, name) for name in names})
