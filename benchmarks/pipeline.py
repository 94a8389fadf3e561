"""How fast a video becomes poses, whole and stage by stage, on one core and on all.

    .venv/bin/python benchmarks/pipeline.py CLIP

Each stage is CPU time of a run without overlap. The whole, with overlap, is given by the clock as a
ratio to that run, both made in turn; where other work runs, CPU time is the fairer figure.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from model import (
    Lifter,
    Tracker,
    VideoResult,
    lift_video,
    model_named,
    open_detector,
    open_video,
    weights_folder,
    write_motion,
)
from service.wire.files import write_video

ROUNDS = 3
STAGES = ("decode", "detect", "track", "lift", "write")
MAX_PEOPLE = 5
"""As the pipeline asks the detector, with one place more than people are followed."""


class Stopwatch:
    """CPU seconds of this process, by stage."""

    def __init__(self) -> None:
        self.seconds = Counter[str]()

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[stage] += time.process_time() - start


def one_after_another(clip: Path, lifter: Lifter, found: VideoResult) -> Counter[str]:
    """The pipeline's stages without overlap; lifts and writes what the whole has found."""
    watch = Stopwatch()
    with open_video(clip) as video, closing(open_detector("mediapipe", MAX_PEOPLE)) as detector:
        tracker, frames = Tracker(video.info.fps, MAX_PEOPLE - 1), video.frames()
        while True:
            with watch.of("decode"):
                frame = next(frames, None)
            if frame is None:
                break
            with watch.of("detect"):
                people = detector.detect(frame.image, frame.time_s)
            with watch.of("track"):
                tracker.update(people)
    with watch.of("lift"):
        for person in found.people:
            lifter.lift(person.keypoints)
    with watch.of("write"), tempfile.TemporaryDirectory() as folder:
        write_video(found, Path(folder) / "result.json")
        write_motion(found, "npz", Path(folder) / "result.npz")
    return watch.seconds


def measure(clip: Path) -> None:
    lifter = Lifter.load(model_named("poseformer-27", weights_folder()))
    found = lift_video(clip, lifter)  # warms up
    stages, whole_cpu_s, ratios = [], [], []
    for _ in range(ROUNDS):
        start_s = time.monotonic()
        stages.append(one_after_another(clip, lifter, found))
        middle_s, middle_cpu_s = time.monotonic(), time.process_time()
        lift_video(clip, lifter)
        ratios.append((middle_s - start_s) / (time.monotonic() - middle_s))
        whole_cpu_s.append(time.process_time() - middle_cpu_s)
    frames = found.video.frames
    rates = [frames / statistics.median(one[stage] for one in stages) for stage in STAGES]
    shown = " | ".join(f"{rate:.0f}" for rate in rates)
    whole = frames / statistics.median(whole_cpu_s)
    cores = len(os.sched_getaffinity(0))
    print(f"| {clip.stem} | {cores} | {shown} | {whole:.1f} | {statistics.median(ratios):.2f} |")


def main(clips: list[str]) -> None:
    every_core = os.sched_getaffinity(0)
    print(f"| clip | cores | {' | '.join(STAGES)} | whole, CPU | speed-up by overlap, clock |")
    print("|" + "---|" * (len(STAGES) + 4), flush=True)
    for clip in clips:
        for cores in ({min(every_core)}, every_core):
            # threads keep the cores that they began with, so each set gets its own process
            os.sched_setaffinity(0, cores)
            subprocess.run([sys.executable, __file__, "--here", clip], check=True)


if __name__ == "__main__":
    if sys.argv[1] == "--here":
        measure(Path(sys.argv[2]))
    else:
        main(sys.argv[1:])
