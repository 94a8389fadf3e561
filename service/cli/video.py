"""`poselift video`: lifts one video or many, on this machine or on a server."""

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
from service.client import Client
from service.lifting.lifters import Lifters
from service.settings import Settings, read_settings

Draw = Callable[[Path, Progress], Sequence[str]]
"""Writes an overlay; returns warnings."""
Lift = Callable[[Path, Progress], tuple[VideoResult, Draw]]


def video(arguments: argparse.Namespace) -> int:
    """Lift each video; 1 if any failed. Raises PoseError, before any work, for bad options."""
    names, overlay = _videos_and_overlay(arguments)
    videos = sources(names)
    planned = targets(videos, arguments.output, arguments.format, overlay)
    settings = read_settings()
    failed = 0
    lifts = _lift_here(arguments, settings) if arguments.server is None else _lift_there(arguments)
    with lifts as lift:
        for place, (source, outputs) in enumerate(zip(videos, planned, strict=True), 1):
            title = source.stem if len(videos) == 1 else f"{place}/{len(videos)} {source.stem}"
            try:
                _make(source, _to_make(outputs, arguments), lift, settings, title)
            except (PoseError, OSError) as error:
                failed += 1
                words = in_words(error)
                say(words if words.startswith(source.name) else f"{source.name}: {words}")
    return 1 if failed else 0


def _videos_and_overlay(arguments: argparse.Namespace) -> tuple[list[str], Path | bool]:
    """The argument of --overlay is its file, or the video if there is no other argument."""
    if arguments.videos:
        return arguments.videos, arguments.overlay
    if isinstance(arguments.overlay, Path):
        return [str(arguments.overlay)], True
    raise InvalidInput("no video: use poselift video VIDEO ...")


def _to_make(outputs: Targets, arguments: argparse.Namespace) -> Targets:
    """The files that do not exist yet, so that an interrupted run can be continued. Raises
    InvalidInput if a file named on the command line exists: it could pass for a new result."""
    if arguments.overwrite:
        return outputs
    missing = outputs.missing()
    existing = [path for path in outputs.all() if path not in missing.all()]
    message = (
        f"{', '.join(map(str, existing))}: already exists; --overwrite replaces existing files"
    )
    if set(existing) & set(outputs.named):
        raise InvalidInput(message)
    if existing:
        say(message)
    return missing


def _make(source: Source, outputs: Targets, lift: Lift, settings: Settings, title: str) -> None:
    if not outputs.all():
        return
    with bar(title) as progress, source.on_disk(settings.max_upload_bytes, progress) as path:
        result, draw = lift(path, progress)
        for file in outputs.all():
            file.parent.mkdir(parents=True, exist_ok=True)
        warnings = [*result.warnings, *outputs.write(result)]
        if outputs.overlay:
            warnings += draw(outputs.overlay, progress)
    warn(warnings, source.name)
    report(source.name, people_in(result), outputs.written(result))


@contextmanager
def _lift_here(arguments: argparse.Namespace, settings: Settings) -> Iterator[Lift]:
    """Raises PoseError if the model does not support the options."""
    options = _options(arguments, arguments.detector or settings.detector)
    lifter = Lifters(settings).get(arguments.model)
    lifter.check(options)

    def lift(path: Path, progress: Progress) -> tuple[VideoResult, Draw]:
        result = lift_video(path, lifter, options, progress)
        return result, lambda out, progress: render_overlay(path, result, out, progress)

    yield lift


@contextmanager
def _lift_there(arguments: argparse.Namespace) -> Iterator[Lift]:
    """On a server; Ctrl-C cancels the job there."""
    options = {
        **asdict(_options(arguments, VideoOptions().detector)),
        "detector": arguments.detector,
        "model": arguments.model,
    }
    with Client(arguments.server) as client:

        def lift(path: Path, progress: Progress) -> tuple[VideoResult, Draw]:
            job = client.submit(
                path, options, progress=lambda done, total: progress("uploading", done, total)
            )
            try:
                for state in client.follow(job.id):
                    progress(state.stage, state.done, state.total)
            except KeyboardInterrupt:
                with suppress(PoseError):
                    client.cancel(job.id)
                raise
            state.check()

            def draw(out: Path, progress: Progress) -> Sequence[str]:
                client.save_overlay(job.id, out)
                return ()

            return client.result(job.id), draw

        yield lift


def _options(arguments: argparse.Namespace, detector: str) -> VideoOptions:
    names = {field.name for field in fields(VideoOptions)} - {"detector"}
    return VideoOptions(detector=detector, **{name: getattr(arguments, name) for name in names})
