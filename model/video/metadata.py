"""What a video file says of itself: size, rotation, frame rate, duration, focal length."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from model.video.clock import Stamps
from model.video.containers import check_size

MAX_PIXEL_ASPECT = 4.0
"""More extreme pixel aspect ratios are taken for an error in the file and ignored."""
FOCAL_KEYS = ("com.apple.quicktime.camera.focal_length.35mm_equivalent",)
"""Written by iPhones; other cameras are not known to write it."""
FULL_FRAME_MM = (36.0, 24.0)
FOCAL_RANGE_MM = (5.0, 2000.0)

_TAG = re.compile(r"(\d+):(\d+):(\d+\.?\d*)")
"""DURATION of a Matroska track."""
_TIMED_FROM_ZERO = ("matroska", "avi", "asf")
"""Containers whose duration is the end time; in the others it counts from the first frame."""


@dataclass(frozen=True)
class VideoInfo:
    """width and height in px, upright as displayed, of the largest frame; fps is the rate
    without pauses; frames are those announced until the video was read; duration_s runs to the end
    of the last frame."""

    width: int
    height: int
    fps: float
    frames: int
    duration_s: float


def declared_info(stream: VideoStream, first: VideoFrame, stamps: Stamps) -> VideoInfo:
    """From the file's headers, timestamps and first frame. Raises TooLarge."""
    width, height = displayed_size(first, pixel_aspect(stream), display_matrix(first))
    duration_s = (
        stamps.sorted_s[-1] + 1 / stamps.fps if stamps.usable else stamps.count / stamps.fps
    )
    return VideoInfo(width, height, stamps.fps, stamps.count, duration_s)


def stated_duration_s(container: InputContainer, stream: VideoStream, first_s: float) -> float:
    """How long the video stream is by the file's headers, from its first frame at first_s; 0 if
    they do not say it: the container's duration may be that of the audio."""
    duration_s = 0.0
    if stream.duration and stream.time_base:
        duration_s = float(stream.duration * stream.time_base)
    elif match := _TAG.fullmatch(stream.metadata.get("DURATION", "")):
        duration_s = 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
    elif len(container.streams) == 1:
        duration_s = (container.duration or 0) / av.time_base
    timed_from_zero = container.format.name.split(",")[0] in _TIMED_FROM_ZERO
    return duration_s - max(first_s, 0) * timed_from_zero


def pixel_aspect(stream: VideoStream) -> float:
    """Width of a pixel by its height."""
    return float(stream.sample_aspect_ratio or 1)


def displayed_size(
    frame: VideoFrame, pixel_aspect: float, matrix: NDArray[np.int64]
) -> tuple[int, int]:
    """Upright (width, height) with square pixels: the longer side of a pixel is stretched."""
    width, height = frame.width, frame.height
    if 1 < pixel_aspect <= MAX_PIXEL_ASPECT:
        width = round(width * pixel_aspect)
    elif 1 / MAX_PIXEL_ASPECT <= pixel_aspect < 1:
        height = round(height / pixel_aspect)
    check_size(width, height)
    return (height, width) if is_transposed(matrix) else (width, height)


def display_matrix(frame: VideoFrame) -> NDArray[np.int64]:
    """(2, 2) of -1, 0, 1: rows are the directions of the coded image's x and y on the display."""
    side_data: Any = frame.side_data
    if "DISPLAYMATRIX" not in side_data:
        return np.eye(2, dtype=np.int64)
    matrix = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32).reshape(3, 3)[:2, :2]
    transposed = abs(int(matrix[0, 1])) > abs(int(matrix[0, 0]))
    axes = np.eye(2, dtype=np.int64)[:, :: -1 if transposed else 1]
    signs: NDArray[np.int64] = np.where(matrix < 0, -1, 1)
    return signs * axes


def is_transposed(matrix: NDArray[np.int64]) -> bool:
    """Whether the coded image's width becomes the display's height."""
    return bool(matrix[0, 0] == 0)


def stated_focal_px(metadata: Mapping[str, str], image_size: tuple[int, int]) -> float | None:
    """The focal length in px that the camera wrote into the file; None if absent or implausible.

    The 35 mm equivalent is the focal length with the same field of view along the diagonal of
    36 x 24 mm film (CIPA DCG-001).
    """
    text = next((metadata[key] for key in FOCAL_KEYS if key in metadata), "")
    try:
        focal_mm = float(text)
    except ValueError:
        return None
    if not FOCAL_RANGE_MM[0] <= focal_mm <= FOCAL_RANGE_MM[1]:
        return None
    return focal_mm * hypot(*image_size) / hypot(*FULL_FRAME_MM)
