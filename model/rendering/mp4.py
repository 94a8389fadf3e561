"""Writes an MP4 that browsers play: timed images, and the audio of the source video."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from model.files import written_whole
from model.rendering.audio import AudioWriter, open_audio

TIME_BASE = Fraction(1, 90_000)
"""MPEG's clock, s: fine enough for the true times of any frame rate."""
MAX_RATE_DENOMINATOR = 1001
ENCODERS = {
    "libx264": {"preset": "veryfast", "crf": "21"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "crf": "30", "b": "0"},
}
"""The first available one is used: H.264 plays everywhere, but x264 is under the GPL, and FFmpeg
builds without it have VP9."""


class Mp4Writer:
    """Encodes timed images, and writes the audio up to the same time."""

    def __init__(
        self,
        container: OutputContainer,
        stream: VideoStream,
        audio: AudioWriter | None,
        frame_s: float,
    ):
        self._container = container
        self._stream = stream
        self._audio = audio
        self._frame_s = frame_s
        self._last_tick = -1

    def write(self, image: NDArray[np.uint8], time_s: float) -> None:
        """image (H, W, 3) RGB; times must increase."""
        frame = VideoFrame.from_ndarray(image, format="rgb24")
        self._last_tick = max(round(time_s / TIME_BASE), self._last_tick + 1)
        frame.pts, frame.time_base = self._last_tick, TIME_BASE
        self._container.mux(self._stream.encode(frame))
        if self._audio:
            self._audio.write_until(time_s + self._frame_s)

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))


@dataclass(frozen=True)
class SourceVideo:
    """The video that the MP4 is made from: start_s is the first frame's time on the file's clock,
    frame_s the mean duration of a frame."""

    path: Path
    start_s: float
    frame_s: float


@contextmanager
def open_mp4(
    out: Path, size: tuple[int, int], source: SourceVideo, warnings: list[str]
) -> Iterator[Mp4Writer]:
    """A writer of images of `size` (width, height) px, both even, with the source's audio.

    `out` appears once the context ends without an error. Problems with the audio are added to
    `warnings`. Raises as open_container does.
    """
    with ExitStack() as open_files:
        part = open_files.enter_context(written_whole(out))
        container = open_files.enter_context(
            av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"})
        )
        stream = _video_stream(container, size, source.frame_s)
        audio = open_files.enter_context(
            open_audio(source.path, container, source.start_s, warnings)
        )
        writer = Mp4Writer(container, stream, audio, source.frame_s)
        yield writer
        writer.finish()


def _video_stream(container: OutputContainer, size: tuple[int, int], frame_s: float) -> VideoStream:
    name = next(name for name in ENCODERS if _is_available(name))
    # each frame has its own time; the rate sets the duration of the last frame
    rate = Fraction(1 / frame_s).limit_denominator(MAX_RATE_DENOMINATOR)
    stream = container.add_stream(name, rate, options=ENCODERS[name])
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = TIME_BASE
    return stream


def _is_available(encoder: str) -> bool:
    try:
        av.Codec(encoder, "w")
    except UnknownCodecError:
        return False
    return True
