"""What a video file says of itself: size, rotation, frame rate, duration, focal length."""

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

from model.keypoints.sequences import MAX_FPS
from model.video.containers import check_size

FALLBACK_FPS = 30.0
"""Where a file has neither a frame rate nor timestamps."""
MAX_PIXEL_ASPECT = 4.0
"""More extreme pixel aspect ratios are taken for an error in the file and ignored."""
FOCAL_KEYS = ("com.apple.quicktime.camera.focal_length.35mm_equivalent",)
"""Written by iPhones; other cameras are not known to write it."""
FULL_FRAME_MM = (36.0, 24.0)
FOCAL_RANGE_MM = (5.0, 2000.0)

_TIMED_FROM_ZERO = ("matroska", "avi", "asf")
"""Containers whose duration is the end time; in the others it counts from the first frame."""


@dataclass(frozen=True)
class VideoInfo:
    """width and height in px, upright as displayed; fps is the mean; frames may be 0 (unknown)
    until the video was read; duration_s runs to the end of the last frame."""

    width: int
    height: int
    fps: float
    frames: int
    duration_s: float


def declared_info(
    container: InputContainer, stream: VideoStream, first: VideoFrame, warnings: list[str]
) -> VideoInfo:
    """From the file's headers and its first frame. Raises TooLarge."""
    width, height = _displayed_size(first, float(stream.sample_aspect_ratio or 1))
    rates = (float(rate or 0) for rate in (stream.average_rate, stream.guessed_rate))
    fps = next((rate for rate in rates if 0 < rate <= MAX_FPS), 0.0)
    if not fps:
        fps = FALLBACK_FPS
        warnings.append(f"the file has no frame rate; {fps:g} frames/s is assumed")
    duration_s = (container.duration or 0) / av.time_base
    if stream.duration and stream.time_base:
        duration_s = float(stream.duration * stream.time_base)
    if container.format.name.split(",")[0] in _TIMED_FROM_ZERO:
        duration_s -= max(first.time or 0, 0)
    frames = stream.frames or round(max(duration_s, 0) * fps)
    return VideoInfo(width, height, fps, frames, duration_s)


def _displayed_size(frame: VideoFrame, pixel_aspect: float) -> tuple[int, int]:
    """Upright (width, height) with square pixels: the longer side of a pixel is stretched."""
    width, height = frame.width, frame.height
    if 1 < pixel_aspect <= MAX_PIXEL_ASPECT:
        width = round(width * pixel_aspect)
    elif 1 / MAX_PIXEL_ASPECT <= pixel_aspect < 1:
        height = round(height / pixel_aspect)
    check_size(width, height)
    return (height, width) if is_transposed(display_matrix(frame)) else (width, height)


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
