"""A video file -> upright RGB frames with their true times."""

from array import array
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from model.errors import UnreadableVideo
from model.lifting.grid import frame_rate
from model.video.clock import Clock, claimed_rate, read_stamps
from model.video.containers import check_size, open_container, video_stream
from model.video.metadata import (
    VideoInfo,
    declared_info,
    display_matrix,
    displayed_size,
    is_transposed,
    pixel_aspect,
    stated_duration_s,
    stated_focal_px,
)

MAX_SHORTFALL_S = 0.25
"""A file whose frames end earlier than declared by more than this is reported as broken off."""
SIZE_CHANGES = "the image size changes; keypoints are in pixels of the largest"
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
    audio shares. warnings, and times_s of every frame from the first, grow while the video is read.
    """

    def __init__(
        self,
        info: VideoInfo,
        decoded: Iterator[VideoFrame],
        clock: Clock,
        warnings: list[str],
        *,
        start_s: float = 0.0,
        stated_s: float = 0.0,
        pixel_aspect: float = 1.0,
        metadata: Mapping[str, str] | None = None,
    ):
        self.info = info
        self.start_s = start_s
        self.warnings = warnings
        self.times_s = array("d")
        self._decoded = decoded
        self._clock = clock
        self._stated_s = stated_s
        self._pixel_aspect = pixel_aspect
        self._metadata = metadata or {}
        self._size = (info.width, info.height)
        self._matrices: dict[int, NDArray[np.int64]] = {}

    def frames(self, every: int = 1, size: tuple[int, int] | None = None) -> Iterator[Frame]:
        """The first frame, every n-th after it and the last; can be iterated once. Images have
        their own size, or are scaled to `size` (w, h) px. Skipped frames are decoded, but not
        converted. A truncated file yields what can be read, and a warning."""
        skipped = None
        for decoded in self._decoded:
            self.times_s.append(self._clock.time_s(decoded))
            own = self._own_size(decoded)
            skipped = decoded if (len(self.times_s) - 1) % every else None
            if not skipped:
                yield self._newest(decoded, size or own)
        if skipped:
            yield self._newest(skipped, size or own)
        self._check_end()

    def _own_size(self, decoded: VideoFrame) -> tuple[int, int]:
        """The size (w, h) at which the frame is displayed; keeps the largest."""
        own = displayed_size(decoded, self._pixel_aspect, self._matrix(decoded))
        if own != self._size:
            _warn_once(self.warnings, SIZE_CHANGES)
            self._size = max(self._size, own, key=prod)
        return own

    def _newest(self, decoded: VideoFrame, size: tuple[int, int]) -> Frame:
        image = _upright_rgb(decoded, size, self._matrix(decoded))
        return Frame(len(self.times_s) - 1, self.times_s[-1], image)

    def _matrix(self, decoded: VideoFrame) -> NDArray[np.int64]:
        """The display matrix, cached by rotation: PyAV's side data and its frame refer to each
        other, so reading it for each frame fills memory until the garbage collector runs."""
        if decoded.rotation not in self._matrices:
            self._matrices[decoded.rotation] = display_matrix(decoded)
        return self._matrices[decoded.rotation]

    @property
    def read_info(self) -> VideoInfo:
        """What was read so far: largest size, true frame count, rate and duration."""
        times_s = np.array(self.times_s)
        fps = frame_rate(times_s, self.info.fps)
        duration_s = times_s[-1] + 1 / fps if len(times_s) else 0.0
        return VideoInfo(*self._size, fps, len(times_s), float(duration_s))

    @property
    def focal_px(self) -> float | None:
        """The focal length in the file's metadata, for the largest size; None if absent."""
        return stated_focal_px(self._metadata, self._size)

    def _check_end(self) -> None:
        read_s = self.read_info.duration_s
        if self._stated_s - read_s > MAX_SHORTFALL_S:
            self.warnings.append(
                f"the video breaks off: {read_s:.2f} s of {self._stated_s:.2f} s could be read"
            )


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Open a video, read its timestamps and decode its first frame.

    Raises NotAVideo, UnreadableVideo (no frame can be decoded) and TooLarge (image size).
    """
    warnings: list[str] = []
    with path.open("rb") as file, open_container(file) as container:
        stamps = read_stamps(container, video_stream(container))
    with path.open("rb") as file, open_container(file) as container:
        stream = video_stream(container)
        with closing(_decode(container, stream, warnings)) as decoded:
            first = next(decoded, None)
            if first is None:
                raise UnreadableVideo("no frame of the video can be decoded")
            if not stamps.usable and not claimed_rate(stream) and stamps.count > 1:
                warnings.append(f"the file has no frame rate; {stamps.fps:g} frames/s is assumed")
            reordered = container.format.name == "avi" and stream.codec_context.has_b_frames
            start_s = first.time or 0.0
            yield Video(
                declared_info(stream, first, stamps),
                chain([first], decoded),
                Clock(stamps, not reordered, warnings),
                warnings,
                start_s=start_s,
                stated_s=stated_duration_s(container, stream, start_s),
                pixel_aspect=pixel_aspect(stream),
                metadata={**stream.metadata, **container.metadata},
            )


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
    decoded: VideoFrame, size: tuple[int, int], matrix: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """The image as displayed (H, W, 3): PyAV reports the display matrix but does not apply it."""
    transposed = is_transposed(matrix)
    width, height = size[::-1] if transposed else size
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
