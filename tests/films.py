"""Synthetic video files."""

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

CORNERS = {
    (-1, -1): (230, 20, 20),
    (1, -1): (20, 200, 20),
    (-1, 1): (20, 20, 230),
    (1, 1): (0,) * 3,
}
"""(x, y) of a corner, x right, y down -> its colour."""


def corners(width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    image = np.zeros((height, width, 3), np.uint8)
    for (x, y), colour in CORNERS.items():
        rows = slice(height // 2, None) if y > 0 else slice(height // 2)
        image[rows, slice(width // 2, None) if x > 0 else slice(width // 2)] = colour
    return image


def film(
    times: Sequence[float] = (0, 0.04, 0.08, 0.12, 0.16),
    *,
    suffix: str = "mp4",
    codec: str = "mpeg4",
    image: NDArray[np.uint8] | None = None,
    prepare: Callable[[Any], None] = lambda stream: None,
) -> bytes:
    """A video file that shows one image at each of `times`, s."""
    image = corners() if image is None else image
    written = io.BytesIO()
    with av.open(written, "w", format=suffix) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        if codec != "mpeg2video":
            stream.codec_context.time_base = Fraction(1, 1000)
        prepare(stream)
        for time in times:
            frame = av.VideoFrame.from_ndarray(image)
            frame.time_base, frame.pts = Fraction(1, 1000), round(time * 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return written.getvalue()


def pictures_of(path: Path) -> list[NDArray[np.uint8]]:
    """All frames of a film, RGB (H, W, 3)."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def showing(
    images: Sequence[NDArray[np.uint8]],
    times_s: Sequence[float],
    *,
    suffix: str = "matroska",
    size: tuple[int, int] | None = None,
    audio_s: float = 0,
    b_frames: int = 0,
) -> bytes:
    """A video of these images at these times, s, in `size` (w, h) px, with so much silence."""
    written = io.BytesIO()
    with av.open(written, "w", format=suffix) as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height = size or images[0].shape[1::-1]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        unit = Fraction(1, 30 if suffix == "avi" else 1000)
        stream.codec_context.time_base, stream.codec_context.max_b_frames = unit, b_frames
        audio = container.add_stream("aac", rate=48000) if audio_s else None
        for image, time_s in zip(images, times_s, strict=False):
            frame = av.VideoFrame.from_ndarray(image)
            frame.time_base, frame.pts = unit, round(time_s / unit)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        for number in range(round(audio_s * 48000 / 1024)):
            assert audio is not None
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 48000, 1024 * number
            container.mux(audio.encode(frame))
    return written.getvalue()
