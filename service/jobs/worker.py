"""A worker process, `python -m service.jobs.worker`: decodes, detects, tracks, lifts and draws
outside the server, which survives its crash.

It reads lines of JSON from stdin, first {"settings", "lifts"}, then one task at a time, and writes
lines of JSON to stdout: {"trouble"} once, then for each task {"progress"} repeatedly, and {"done"}
or {"problem"}. The process ends with its server.
"""

import ctypes
import errno
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from model import (
    PoseError,
    TooLarge,
    VideoInfo,
    VideoOptions,
    give_memory_back,
    lift_video,
    open_detector,
    open_video,
    read_npz,
    render_overlay,
    write_motion,
)
from service.errors import StorageFull
from service.lifting.lifters import Lifters
from service.settings import MEGAPIXEL, Settings
from service.wire.files import write_video
from service.wire.problems import INTERNAL, STATUS, document, problem

NICENESS = 10
"""Live requests have priority over jobs."""
PROGRESS_EVERY_S = 0.25
_PR_SET_PDEATHSIG = 1

_log = logging.getLogger("poselift")

Task = Mapping[str, Any]
Message = dict[str, Any]


class Worker:
    """Runs tasks; models are loaded once."""

    def __init__(self, settings: Settings, out: BinaryIO):
        self._settings = settings
        self._lifters = Lifters(settings)
        self._out = out
        self._handlers: dict[str, Callable[[Task], Message]] = {
            "check": self._check,
            "lift": self._lift,
            "draw": self._draw,
            "write": self._write,
        }

    def warm_up(self) -> str | None:
        """Load and warm the default model and open the detector; returns the error, or None."""
        try:
            lifter = self._lifters.get()
            lifter.warm()
            open_detector(self._settings.detector, 1, lifter.device).close()
        except PoseError as error:
            return str(error)
        return None

    def run(self, task: Task) -> None:
        try:
            self.send({"done": self._handlers[task["work"]](task)})
        except PoseError as error:
            self.send({"problem": problem(error)})
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                full = StorageFull("the disk filled up while the job ran")
                self.send({"problem": problem(full)})
                return
            _log.exception("%s failed", task["work"])
            self.send({"problem": document(STATUS[PoseError], INTERNAL)})

    def send(self, message: Message) -> None:
        self._out.write(orjson.dumps(message) + b"\n")
        self._out.flush()

    def _check(self, task: Task) -> Message:
        """Open a video and decode its first frame; raises what rejects an upload."""
        with open_video(Path(task["video"])) as video:
            self._check_declared(video.info)
            return asdict(video.info)

    def _check_declared(self, info: VideoInfo) -> None:
        settings = self._settings
        megapixels = info.width * info.height / MEGAPIXEL
        for name, value, limit in (
            ("megapixels per frame", megapixels, settings.max_picture_mp),
            ("frames", info.frames, settings.max_video_frames),
            ("seconds", info.duration_s, settings.max_video_s),
        ):
            if value > limit:
                raise TooLarge(f"a video may have at most {limit:g} {name}, got {value:.6g}")

    def _lift(self, task: Task) -> Message:
        result = lift_video(
            Path(task["video"]),
            self._lifters.get(task["model"]),
            VideoOptions(**task["options"]),
            self._progress(),
        )
        self.send({"progress": ["writing", 0, None, None]})
        for name in ("result.npz", "result.json"):
            write_video(result, Path(task["out"]) / name)
        return {"frames": sum(len(person.frames) for person in result.people)}

    def _draw(self, task: Task) -> Message:
        result = read_npz(Path(task["result"]))
        video, out = Path(task["video"]), Path(task["out"])
        return {"warnings": render_overlay(video, result, out, self._progress())}

    def _write(self, task: Task) -> Message:
        result, out = read_npz(Path(task["result"])), Path(task["out"])
        if task["space"] is not None:
            result = result.in_space(task["space"])
        if task["format"] == "json":
            write_video(result, out)
        else:
            write_motion(result, task["format"], out, task["person"])
        return {}

    def _progress(self) -> "_Progress":
        return _Progress(self.send, self._settings.max_video_frames)


class _Progress:
    """Reports progress to the server a few times a second; raises TooLarge if a video has more
    frames than allowed, whatever its headers declare."""

    def __init__(self, send: Callable[[Message], None], max_frames: int):
        self._send = send
        self._max_frames = max_frames
        self._stage = ""
        self._start_s = self._sent_s = 0.0

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        now_s = time.monotonic()
        if stage != self._stage:
            self._stage, self._start_s, self._sent_s = stage, now_s, 0.0
        if stage == "detecting" and done > self._max_frames:
            raise TooLarge(f"a video may have at most {self._max_frames} frames, this one has more")
        if now_s - self._sent_s >= PROGRESS_EVERY_S or done == total:
            self._sent_s = now_s
            self._send({"progress": [stage, done, total, self._remaining_s(now_s, done, total)]})

    def _remaining_s(self, now_s: float, done: int, total: int | None) -> float | None:
        if not done or total is None:
            return None
        return round((now_s - self._start_s) / done * max(total - done, 0), 1)


def main() -> None:
    """Run tasks until the server ends."""
    _end_with_parent()
    # libraries must not print between the lines of JSON
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    logging.basicConfig(level=logging.INFO)
    lines = _lines()
    first = orjson.loads(next(lines))
    worker = Worker(Settings(**first["settings"]), out)
    if first["lifts"]:
        os.nice(NICENESS)
    worker.send({"trouble": worker.warm_up() if first["lifts"] else None})
    for line in lines:
        worker.run(orjson.loads(line))
        give_memory_back()  # without it 880 MB after six tasks, with it 490 MB


def _end_with_parent() -> None:
    """On Linux the kernel ends even a stopped process; elsewhere the end of stdin does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _lines() -> Iterator[bytes]:
    """The lines from the server; their end ends the process, even during a task."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin.buffer:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield lines.get()


if __name__ == "__main__":
    main()
