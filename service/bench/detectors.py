"""`poselift bench --detectors CLIP`: every detector that is installed, side by side on one clip.

There is no truth to hold them against, so what is measured is what a good detector cannot have:
keypoints that shake, and limbs whose length changes.
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
    """What one detector did: pictures a second of decoding, detecting and tracking; the mean score;
    jitter in % of the body's size; limb spread in % of the limb's length."""

    detector: str
    people: int
    frames_per_s: float
    score: float
    jitter: float
    limb_spread: float


def compare(asked: argparse.Namespace) -> int:
    """Prints a row for each detector as it is done; one that cannot be opened says why, and the
    exit code is 1 if none could."""
    settings = read_settings()
    lifter = Lifters(settings).get()
    done: list[Figures] = []
    print("| detector | people | frames/s | score | jitter % | limb spread % |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in dict.fromkeys([*installed_detectors(), settings.detector, *asked.detector]):
        try:
            done.append(_measured(asked.detectors, name, lifter))
            print(_row(done[-1]), flush=True)
        except PoseError as error:
            print(f"poselift: {name}: {error}", file=sys.stderr)
    if asked.json:
        document = {"machine": machine(), "detectors": [asdict(figures) for figures in done]}
        asked.json.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    return 0 if done else 1


def _measured(clip: Path, name: str, lifter: Lifter) -> Figures:
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
    """Times the detecting, from its first picture to its last: opening and lifting do not count."""

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
    """Over people; NaN where there is nobody."""
    found = [value for value in values if not math.isnan(value)]
    return sum(found) / len(found) if found else math.nan


def _row(figures: Figures) -> str:
    numbers = (figures.frames_per_s, figures.score, figures.jitter, figures.limb_spread)
    shown = ("" if math.isnan(number) else f"{number:.3g}" for number in numbers)
    return f"| {' | '.join((figures.detector, str(figures.people), *shown))} |"
