"""An MP4 that browsers play: pictures with times, and the sound of the film they come from."""

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
from model.rendering.audio import Sound, open_sound

TIME_BASE = Fraction(1, 90_000)
"""MPEG's clock: fine enough for the true times of any frame rate."""
MAX_RATE_DENOMINATOR = 1001
ENCODERS = {
    "libx264": {"preset": "veryfast", "crf": "21"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "crf": "30", "b": "0"},
}
"""The first that is here: H.264 plays everywhere, but x264 is under the GPL, and who builds FFmpeg
without it has VP9."""


class Film:
    """Takes pictures with their times, and takes the sound along."""

    def __init__(
        self, container: OutputContainer, stream: VideoStream, sound: Sound | None, frame_s: float
    ):
        self._container = container
        self._stream = stream
        self._sound = sound
        self._frame_s = frame_s
        self._last_tick = -1

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:
        frame = VideoFrame.from_ndarray(picture, format="rgb24")
        self._last_tick = max(round(time_s / TIME_BASE), self._last_tick + 1)
        frame.pts, frame.time_base = self._last_tick, TIME_BASE
        self._container.mux(self._stream.encode(frame))
        if self._sound:
            self._sound.write_until(time_s + self._frame_s)

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))


@dataclass(frozen=True)
class Original:
    """The film that another one is made from: start_s is when its first frame is shown, on its own
    clock; frame_s how long a frame lasts, on average."""

    path: Path
    start_s: float
    frame_s: float


@contextmanager
def written_film(
    out: Path, size: tuple[int, int], original: Original, warnings: list[str]
) -> Iterator[Film]:
    """A film of pictures of `size` (width, height), even, px, with the original's sound; it becomes
    `out` when all went well. What is wrong with the sound is said in `warnings`."""
    with ExitStack() as open_files:
        part = open_files.enter_context(written_whole(out))
        container = open_files.enter_context(
            av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"})
        )
        stream = _picture_stream(container, size, original.frame_s)
        sound = open_files.enter_context(
            open_sound(original.path, container, original.start_s, warnings)
        )
        film = Film(container, stream, sound, original.frame_s)
        yield film
        film.finish()


def _picture_stream(
    container: OutputContainer, size: tuple[int, int], frame_s: float
) -> VideoStream:
    name = next(name for name in ENCODERS if _is_here(name))
    # frames come at any times; the rate says how long the last of them is shown
    rate = Fraction(1 / frame_s).limit_denominator(MAX_RATE_DENOMINATOR)
    stream = container.add_stream(name, rate, options=ENCODERS[name])
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = TIME_BASE
    return stream


def _is_here(encoder: str) -> bool:
    try:
        av.Codec(encoder, "w")
    except UnknownCodecError:
        return False
    return True
