"""Synthetic video files."""

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
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
