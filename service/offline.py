"""`poselift video` and `poselift lift`: the service's work without a server."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from model import (
    Given,
    InvalidInput,
    Progress,
    VideoOptions,
    carry_out,
    lift_video,
    render_overlay,
)
from service.keypoint_files import read_request
from service.lifters import Lifters
from service.lifting import lift_request
from service.results import check_output, write_lift, write_video
from service.settings import Settings, read_settings


def lift(keypoints: Path, output: Path, given: Given) -> int:
    """2D keypoints in files -> the answer of POST /lift in a file; raises PoseError."""
    check_output(output)
    settings = read_settings()
    asked, guessed = read_request(keypoints, given, settings.max_frames)
    if asked.stream is not None:
        raise InvalidInput("a stream is the server's; leave `stream` away", ("stream",))
    lifter = Lifters(settings).get(asked.model)
    result = carry_out(lift_request(asked, lifter), lifter.run_pass)
    result = replace(result, warnings=(*guessed, *result.warnings))
    write_lift(result, output)
    _warn(result.warnings)
    return 0


def video(asked: argparse.Namespace) -> int:
    """A video file -> its poses, the picture of them, or both; raises PoseError."""
    _check_outputs(asked)
    settings = read_settings()
    lifter = Lifters(settings).get(asked.model)
    with _bar() as progress:
        result = lift_video(asked.video, lifter, _options(asked, settings), progress)
    if asked.output:
        write_video(result, asked.output)
    if asked.overlay:
        with _bar() as progress:
            render_overlay(asked.video, result, asked.overlay, progress)
    _warn(result.warnings)
    return 0


def _check_outputs(asked: argparse.Namespace) -> None:
    if not (asked.output or asked.overlay):
        raise InvalidInput("say where the result goes: -o poses.npz, --overlay out.mp4, or both")
    if asked.output:
        check_output(asked.output)
    if asked.overlay:
        check_output(asked.overlay, (".mp4",))


def _options(asked: argparse.Namespace, settings: Settings) -> VideoOptions:
    return VideoOptions(
        detector=asked.detector or settings.detector,
        max_people=asked.max_people,
        detect_every=asked.detect_every,
        smoothing=asked.smoothing,
        readout=asked.readout,
        flip=asked.flip,
        focal_px=asked.focal_px,
        height_m=asked.height_m,
    )


@contextmanager
def _bar() -> Iterator[Progress]:
    """A progress bar for one stage after another; without a terminal nothing is drawn."""
    shown = None
    with tqdm(disable=None) as bar:

        def show(stage: str, done: int, total: int | None) -> None:
            nonlocal shown
            if stage != shown:
                shown = stage
                bar.set_description(stage, refresh=False)
                bar.reset()
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        print(f"poselift: warning: {warning}", file=sys.stderr)
