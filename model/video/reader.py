"""A video file -> upright RGB frames with their true times."""

from array import array
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from model.errors import UnreadableVideo
from model.keypoints.sequences import MAX_FPS
from model.video.containers import check_size, open_container, video_stream
from model.video.metadata import (
    VideoInfo,
    declared_info,
    display_matrix,
    is_transposed,
    stated_focal_px,
)

MAX_SHORTFALL_S = 0.25
"""A file whose frames end earlier than declared by more than this is reported as broken off."""
_DAMAGED = "parts of the video are damaged"


@dataclass(frozen=True)
class Frame:
    """index from 0 in decoding order; time_s from the first frame; image uint8 RGB (H, W, 3)."""

    index: int
    time_s: float
    image: NDArray[np.uint8]


class Video:
    """An open video.

    info is what the file declares; start_s the first frame's time on the file's clock, which its
    audio shares; focal_px the focal length in the file's metadata, None if absent. warnings, and
    times_s of every frame from the first, grow while the video is read.
    """

    def __init__(
        self,
        info: VideoInfo,
        decoded: Iterator[VideoFrame],
        warnings: list[str],
        start_s: float = 0.0,
        focal_px: float | None = None,
    ):
        self.info = info
        self.focal_px = focal_px
        self.start_s = start_s
        self.warnings = warnings
        self.times_s = array("d")
        self._decoded = decoded
        self._matrices: dict[int, NDArray[np.int64]] = {}

    def frames(self, every: int = 1) -> Iterator[Frame]:
        """The first frame, every n-th after it and the last; can be iterated once. Skipped frames
        are decoded, but not converted. A truncated file yields what can be read, and a warning."""
        clock = _Clock(self.info.fps, self.warnings)
        coded_size = skipped = None
        for decoded in self._decoded:
            coded_size = coded_size or (decoded.width, decoded.height)
            if (decoded.width, decoded.height) != coded_size:
                _warn_once(self.warnings, "the image size changes; all are scaled to the first")
            self.times_s.append(clock.time_s(decoded))
            skipped = decoded if (len(self.times_s) - 1) % every else None
            if not skipped:
                yield self._newest(decoded)
        if skipped:
            yield self._newest(skipped)
        self._check_end()

    def _newest(self, decoded: VideoFrame) -> Frame:
        image = _upright_rgb(decoded, self.info, self._matrix(decoded))
        return Frame(len(self.times_s) - 1, self.times_s[-1], image)

    def _matrix(self, decoded: VideoFrame) -> NDArray[np.int64]:
        """The display matrix, cached by rotation: PyAV's side data and its frame refer to each
        other, so reading it for each frame fills memory until the garbage collector runs."""
        if decoded.rotation not in self._matrices:
            self._matrices[decoded.rotation] = display_matrix(decoded)
        return self._matrices[decoded.rotation]

    @property
    def read_info(self) -> VideoInfo:
        """What was read so far: true frame count, duration and mean rate."""
        fps, read = self.info.fps, len(self.times_s)
        last_s = self.times_s[-1] if read else 0.0
        if last_s > 0:
            fps = min((read - 1) / last_s, MAX_FPS)
        duration_s = last_s + 1 / fps if read else 0.0
        return VideoInfo(self.info.width, self.info.height, fps, read, duration_s)

    def _check_end(self) -> None:
        declared_s, read_s = self.info.duration_s, self.read_info.duration_s
        if declared_s - read_s > MAX_SHORTFALL_S:
            self.warnings.append(
                f"the video breaks off: {read_s:.2f} s of {declared_s:.2f} s could be read"
            )


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Open a video and decode its first frame.

    Raises NotAVideo, UnreadableVideo (no frame can be decoded) and TooLarge (image size).
    """
    warnings: list[str] = []
    with path.open("rb") as file, open_container(file) as container:
        stream = video_stream(container)
        with closing(_decode(container, stream, warnings)) as decoded:
            first = next(decoded, None)
            if first is None:
                raise UnreadableVideo("no frame of the video can be decoded")
            info = declared_info(container, stream, first, warnings)
            metadata = {**stream.metadata, **container.metadata}
            focal_px = stated_focal_px(metadata, (info.width, info.height))
            yield Video(info, chain([first], decoded), warnings, first.time or 0.0, focal_px)


def _decode(
    container: InputContainer, stream: VideoStream, warnings: list[str]
) -> Generator[VideoFrame]:
    """Every frame that can be decoded; the others are skipped with a warning."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            warnings.append(f"the video breaks off: {error.strerror}")
            return
        if packet is None:
            return
        try:
            frames = stream.decode(packet)
        except av.FFmpegError:
            _warn_once(warnings, _DAMAGED)
            continue
        for frame in frames:
            if frame.is_corrupt:
                _warn_once(warnings, _DAMAGED)
            check_size(frame.width, frame.height)
            yield frame


def _upright_rgb(
    decoded: VideoFrame, info: VideoInfo, matrix: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """The image as displayed (H, W, 3): PyAV reports the display matrix but does not apply it."""
    transposed = is_transposed(matrix)
    width, height = (info.height, info.width) if transposed else (info.width, info.height)
    # Any: the annotation lists the types of every pixel format. One thread: more would be started
    # anew for each frame
    image: Any = decoded.to_ndarray(format="rgb24", width=width, height=height, threads=1)
    if transposed:
        image = image.transpose(1, 0, 2)
    to_right, to_bottom = matrix.sum(axis=0)
    image = image[:: 1 if to_bottom > 0 else -1, :: 1 if to_right > 0 else -1]
    return np.ascontiguousarray(image)


def _warn_once(warnings: list[str], text: str) -> None:
    if text not in warnings:
        warnings.append(text)


class _Clock:
    """Frame times in seconds from the first; the frame rate replaces unusable timestamps."""

    def __init__(self, fps: float, warnings: list[str]):
        self._step_s = 1 / fps
        self._warnings = warnings
        self._expected_s = 0.0
        self._last_s = -1.0
        self._origin_s: float | None = None

    def time_s(self, frame: VideoFrame) -> float:
        stamp_s = frame.time
        if stamp_s is not None and self._origin_s is None:
            self._origin_s = stamp_s - self._expected_s
        time_s = self._last_s if stamp_s is None else stamp_s - (self._origin_s or 0.0)
        if time_s <= self._last_s:
            _warn_once(
                self._warnings,
                "timestamps are missing or do not increase; the frame rate is used there",
            )
            time_s = self._expected_s
        self._last_s, self._expected_s = time_s, time_s + self._step_s
        return time_s
