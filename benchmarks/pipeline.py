"""Speed of lifting a video, in total and by stage, on one core and on all.

    .venv/bin/python benchmarks/pipeline.py VIDEO

Stages are CPU times of a run without overlap. The run with overlap is also given as a ratio of wall
clock times, both measured in turns; under other load CPU time is more reliable.
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
"""As in the pipeline: one more than the number of tracked people."""


class Stopwatch:
    """CPU seconds of this process, by stage."""

    def __init__(self) -> None:
        self.seconds = Counter[str]()

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[stage] += time.process_time() - start


def sequential(clip: Path, lifter: Lifter, result: VideoResult) -> Counter[str]:
    """Run the stages without overlap, lifting and writing the people of `result`."""
    watch = Stopwatch()
    with open_video(clip) as video, closing(open_detector("mediapipe", MAX_PEOPLE)) as detector:
        tracker, frames = Tracker(MAX_PEOPLE - 1), video.frames()
        while True:
            with watch.of("decode"):
                frame = next(frames, None)
            if frame is None:
                break
            with watch.of("detect"):
                people = detector.detect(frame.image, frame.time_s)
            with watch.of("track"):
                tracker.update(people, frame.time_s)
    with watch.of("lift"):
        for person in result.people:
            lifter.lift(person.keypoints)
    with watch.of("write"), tempfile.TemporaryDirectory() as folder:
        write_video(result, Path(folder) / "result.json")
        write_motion(result, "npz", Path(folder) / "result.npz")
    return watch.seconds


def measure(clip: Path) -> None:
    lifter = Lifter.load(model_named("poseformer-27", weights_folder()))
    result = lift_video(clip, lifter)  # warm-up
    stages, whole_cpu_s, ratios = [], [], []
    for _ in range(ROUNDS):
        start_s = time.monotonic()
        stages.append(sequential(clip, lifter, result))
        middle_s, middle_cpu_s = time.monotonic(), time.process_time()
        lift_video(clip, lifter)
        ratios.append((middle_s - start_s) / (time.monotonic() - middle_s))
        whole_cpu_s.append(time.process_time() - middle_cpu_s)
    frames = result.video.frames
    rates = [frames / statistics.median(row[stage] for row in stages) for stage in STAGES]
    shown = " | ".join(f"{rate:.0f}" for rate in rates)
    whole = frames / statistics.median(whole_cpu_s)
    cores = len(os.sched_getaffinity(0))
    print(f"| {clip.stem} | {cores} | {shown} | {whole:.1f} | {statistics.median(ratios):.2f} |")


def main(clips: list[str]) -> None:
    all_cores = os.sched_getaffinity(0)
    print(f"| clip | cores | {' | '.join(STAGES)} | whole, CPU | speed-up by overlap, clock |")
    print("|" + "---|" * (len(STAGES) + 4), flush=True)
    for clip in clips:
        for cores in ({min(all_cores)}, all_cores):
            # threads keep their cores, so each set of cores needs a new process
            os.sched_setaffinity(0, cores)
            subprocess.run([sys.executable, __file__, "--here", clip], check=True)


if __name__ == "__main__":
    if sys.argv[1] == "--here":
        measure(Path(sys.argv[2]))
    else:
        main(sys.argv[1:])
