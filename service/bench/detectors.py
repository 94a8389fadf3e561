"""`poselift bench --detectors CLIP`: every installed detector on one clip.

Without ground truth, the measures are faults of a bad detector: jitter of the keypoints, and limbs
whose length changes.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from model import (
    Lifter,
    PoseError,
    VideoOptions,
    installed_detectors,
    keypoint_jitter,
    lift_video,
    limb_spread,
)
from service.bench.report import machine
from service.lifting.lifters import Lifters
from service.settings import read_settings


@dataclass(frozen=True)
class Figures:
    """Of one detector: frames a second of decoding, detecting and tracking; the mean score; jitter
    in % of the body's size; limb spread in % of the limb's length."""

    detector: str
    people: int
    frames_per_s: float
    score: float
    jitter: float
    limb_spread: float


def compare(arguments: argparse.Namespace) -> int:
    """Prints a row for each detector, or why it cannot be opened. The exit code is 1 if none could
    be opened."""
    settings = read_settings()
    lifter = Lifters(settings).get()
    rows: list[Figures] = []
    print("| detector | people | frames/s | score | jitter % | limb spread % |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in dict.fromkeys([*installed_detectors(), settings.detector, *arguments.detector]):
        try:
            rows.append(_measure(arguments.detectors, name, lifter))
            print(_row(rows[-1]), flush=True)
        except PoseError as error:
            print(f"poselift: {name}: {error}", file=sys.stderr)
    if arguments.json:
        document = {"machine": machine(), "detectors": [asdict(figures) for figures in rows]}
        arguments.json.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    return 0 if rows else 1


def _measure(clip: Path, name: str, lifter: Lifter) -> Figures:
    clock = _Clock()
    result = lift_video(clip, lifter, VideoOptions(detector=name, smoothing="none"), clock)
    people = result.people
    return Figures(
        detector=name,
        people=len(people),
        frames_per_s=clock.frames_per_s(),
        score=_mean(float(person.keypoints.confidence.mean()) for person in people),
        jitter=100 * _mean(keypoint_jitter(person.keypoints, person.frames) for person in people),
        limb_spread=100 * _mean(limb_spread(person.poses) for person in people),
    )


class _Clock:
    """Times detection from the first frame to the last, without opening and lifting."""

    def __init__(self) -> None:
        self._ticks: list[float] = []

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if stage == "detecting":
            self._ticks.append(time.perf_counter())

    def frames_per_s(self) -> float:
        if len(self._ticks) < 2:
            return math.nan
        return (len(self._ticks) - 1) / (self._ticks[-1] - self._ticks[0])


def _mean(values: Iterable[float]) -> float:
    """Over people; NaN without people."""
    numbers = [value for value in values if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else math.nan


def _row(figures: Figures) -> str:
    numbers = (figures.frames_per_s, figures.score, figures.jitter, figures.limb_spread)
    shown = ("" if math.isnan(number) else f"{number:.3g}" for number in numbers)
    return f"| {' | '.join((figures.detector, str(figures.people), *shown))} |"
