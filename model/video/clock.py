"""Frame times: read from a file's timestamps, and made where it has none that can be used."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from model.keypoints.sequences import MAX_FPS
from model.lifting.grid import frame_rate

FALLBACK_FPS = 30.0
"""Where a file has neither a frame rate nor timestamps."""
MAX_REPEATS = 64
"""A step is halved for each frame with the same stamp, down to this part of it."""
MIN_DISTINCT = 0.5
"""With a smaller share of distinct timestamps, a file counts as having none."""


@dataclass(frozen=True)
class Stamps:
    """The timestamps of a file's packets: count of packets; sorted_s, the distinct stamps in s from
    the first; fps, their rate; usable, whether they can serve as times."""

    count: int
    sorted_s: "array[float]"
    fps: float
    usable: bool


def read_stamps(container: InputContainer, stream: VideoStream) -> Stamps:
    """Read all packets of a video, without decoding; the container is at its end afterwards."""
    stamps, count = array("d"), 0
    for packet in _packets(container, stream):
        if packet.size:
            count += 1
            if packet.pts is not None and stream.time_base:
                stamps.append(float(packet.pts * stream.time_base))
    distinct = np.unique(np.array(stamps))
    usable = len(distinct) > min(1, count - 1) and len(distinct) >= MIN_DISTINCT * count
    from_first = distinct - distinct[0] if len(distinct) else distinct
    default_fps = claimed_rate(stream) or FALLBACK_FPS
    fps = frame_rate(from_first, default_fps) if usable else default_fps
    return Stamps(count, array("d", from_first), fps, usable)


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Any]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return
        if packet is None:
            return
        yield packet


def claimed_rate(stream: VideoStream) -> float:
    """The frame rate that the file states; 0 if it states none, or just its unit of time, as
    browser recordings, FLV and ASF do."""
    for rate in (stream.average_rate, stream.guessed_rate):
        is_unit = bool(rate and stream.time_base and rate * stream.time_base == 1)
        if rate and 0 < rate <= MAX_FPS and not (is_unit and rate >= MAX_FPS):
            return float(rate)
    return 0.0


class Clock:
    """The times of decoded frames, in s from the first; each is later than the one before."""

    def __init__(self, stamps: Stamps, in_display_order: bool, warnings: list[str]):
        """in_display_order: the frames' own stamps are those of display. Where they are not, as in
        AVI files with B-frames, the n-th frame gets the n-th stamp of the file."""
        self._stamps = stamps
        self._own = in_display_order
        self._warnings = warnings
        self._step_s = 1 / stamps.fps
        self._frames = 0
        self._last_s = -self._step_s
        self._repeat_s = self._step_s
        self._origin_s: float | None = None

    def time_s(self, frame: VideoFrame) -> float:
        """The time of the next frame."""
        stamp_s = self._stamp_s(frame)
        self._frames += 1
        if stamp_s is not None and self._origin_s is None:
            self._origin_s = stamp_s - (self._last_s + self._step_s)
        time_s = None if stamp_s is None else stamp_s - (self._origin_s or 0.0)
        if time_s is None or time_s <= self._last_s:
            self._warn()
            time_s = self._replaced(time_s)
        else:
            self._repeat_s = self._step_s
        self._last_s = time_s
        return time_s

    def _stamp_s(self, frame: VideoFrame) -> float | None:
        if not self._stamps.usable:
            return None
        if self._own:
            return frame.time
        known = self._stamps.sorted_s
        return known[self._frames] if self._frames < len(known) else None

    def _replaced(self, time_s: float | None) -> float:
        """A missing stamp: one step on. One that ran backwards by more than half a step: the file's
        clock was set back, and goes on from here. A repeated one: a little later than the last."""
        if time_s is None:
            return self._last_s + self._step_s
        if time_s < self._last_s - self._step_s / 2:
            assert self._origin_s is not None
            self._origin_s -= self._last_s + self._step_s - time_s
            return self._last_s + self._step_s
        self._repeat_s /= 2
        if self._repeat_s < self._step_s / MAX_REPEATS:
            return self._last_s + self._step_s
        return self._last_s + self._repeat_s

    def _warn(self) -> None:
        text = "timestamps are missing or do not increase; the frame rate is used there"
        if text not in self._warnings:
            self._warnings.append(text)
