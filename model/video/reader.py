"""A video file -> upright RGB pictures with their true times.

Nothing but the given file is read: its first bytes choose one demuxer among those that hold their
own pictures (never a playlist), FFmpeg gets a Python file instead of a path, and every request of
its to open something else is refused.
"""

from array import array
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from model.errors import NotAVideo, TooLarge, UnreadableVideo
from model.keypoints.sequences import MAX_FPS
from model.video.metadata import stated_focal_px

MAX_SIDE_PX = 16384
MAX_PIXELS = 100_000_000
FALLBACK_FPS = 30.0
"""Where a file gives neither a frame rate nor times."""
MAX_SHORTFALL_S = 0.25
"""A file whose pictures end earlier than declared by more than this has broken off."""
MAX_PIXEL_ASPECT = 4.0
"""Stranger shapes of a pixel are taken for a mistake of the file, and ignored."""

_SNIFFED_BYTES = 1024
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_STILL_BRANDS = (b"mif1", b"avif", b"heic", b"heix", b"heim", b"heis", b"jpeg")
"""HEIF pictures, which share MP4's boxes."""
_SIGNATURES = (
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"OggS", "ogg"),
    (b"FLV\x01", "flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"\x00\x00\x01\xba", "mpeg"),
)
_TIMED_FROM_ZERO = ("matroska", "avi", "asf")
"""These declare when the film ends, the others how long it is."""
_DAMAGED = "parts of the video are damaged"
_READABLE = "MP4, MOV, 3GP, MKV, WebM, AVI, MPEG, Ogg, FLV or ASF"


@dataclass(frozen=True)
class VideoInfo:
    """width and height in px, upright as displayed; fps is the mean; frames may be 0 (not known)
    until they were read; duration_s runs to the end of the last frame.
    """

    width: int
    height: int
    fps: float
    frames: int
    duration_s: float


@dataclass(frozen=True)
class Frame:
    """index from 0 in decoding order; time_s from the first frame; image uint8 RGB (H, W, 3)."""

    index: int
    time_s: float
    image: NDArray[np.uint8]


class Video:
    """An open video. `info` is what the file declares; `start_s` the first frame's time on the
    file's own clock, which its sound shares; `focal_px` what its camera wrote of its lens, if it
    did; `warnings`, and `times_s` of every frame from the first, grow while it is read."""

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
        """The first frame, every n-th after it and the last, once: the pictures between cost their
        decoding alone. A file that breaks off gives what can be read, and a warning."""
        clock = _Clock(self.info.fps, self.warnings)
        coded_size = passed_over = None
        for picture in self._decoded:
            coded_size = coded_size or (picture.width, picture.height)
            if (picture.width, picture.height) != coded_size:
                _warn_once(self.warnings, "the picture's size changes; all are scaled to the first")
            self.times_s.append(clock.time_s(picture))
            passed_over = picture if (len(self.times_s) - 1) % every else None
            if not passed_over:
                yield self._newest(picture)
        if passed_over:
            yield self._newest(passed_over)
        self._check_end()

    def _newest(self, picture: VideoFrame) -> Frame:
        image = _upright_rgb(picture, self.info, self._matrix(picture))
        return Frame(len(self.times_s) - 1, self.times_s[-1], image)

    def _matrix(self, picture: VideoFrame) -> NDArray[np.int64]:
        """Its display matrix, read once for each rotation: PyAV's side data and their frame refer
        to each other, so that each frame asked for them fills memory until the collector runs."""
        if picture.rotation not in self._matrices:
            self._matrices[picture.rotation] = _display_matrix(picture)
        return self._matrices[picture.rotation]

    @property
    def read_info(self) -> VideoInfo:
        """What was really read so far: true count, duration and mean rate."""
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

    Raises NotAVideo, UnreadableVideo (no frame decodes) and TooLarge (the picture's sides).
    """
    warnings: list[str] = []
    with path.open("rb") as file, open_container(file) as container:
        stream = _picture_stream(container)
        with closing(_decode(container, stream, warnings)) as decoded:
            first = next(decoded, None)
            if first is None:
                raise UnreadableVideo("no frame of the video can be decoded")
            info = _declared(container, stream, first, warnings)
            stated = {**stream.metadata, **container.metadata}
            focal_px = stated_focal_px(stated, (info.width, info.height))
            yield Video(info, chain([first], decoded), warnings, first.time or 0.0, focal_px)


def container_of(start: bytes) -> str | None:
    """FFmpeg's name of the video container that begins with these bytes; None for all else."""
    if start[4:8] in _MP4_BOXES:
        return None if start[8:12] in _STILL_BRANDS else "mov"
    if start[:4] == b"RIFF" and start[8:12] in (b"AVI ", b"AVIX"):
        return "avi"
    # a transport stream marks the start of each packet; on discs, 4 bytes come before the mark
    if start[:565:188] == b"GGGG" or start[4:581:192] == b"GGGG":
        return "mpegts"
    return next((name for mark, name in _SIGNATURES if start.startswith(mark)), None)


def open_container(file: BinaryIO) -> InputContainer:
    """Demux a video, and nothing but this file; raises NotAVideo, UnreadableVideo."""
    start = file.read(_SNIFFED_BYTES)
    file.seek(0)
    if not start:
        raise NotAVideo("the file is empty")
    name = container_of(start)
    if name is None:
        raise NotAVideo(f"the content is not a video; expected {_READABLE}")
    options = {"protocol_whitelist": "none", "max_pixels": str(MAX_PIXELS)}
    try:
        return av.open(
            file, "r", format=name, options=options, metadata_errors="replace", io_open=_refuse
        )
    except av.FFmpegError as error:
        raise UnreadableVideo(f"the {name} file cannot be read: {error.strerror}") from error


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError(f"a video may not open other files: {url}")


def _picture_stream(container: InputContainer) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        raise NotAVideo("the file holds no moving picture; is it sound alone?")
    decoder: Any = stream.codec_context
    if decoder is None:
        raise UnreadableVideo("the video is encoded in a way that nothing here can decode")
    _check_size(decoder.width, decoder.height)
    return stream


def _check_size(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise TooLarge(
            f"a picture has at most {MAX_SIDE_PX} px a side and {MAX_PIXELS // 10**6} megapixels, "
            f"got {width} x {height}"
        )


def _decode(
    container: InputContainer, stream: VideoStream, warnings: list[str]
) -> Generator[VideoFrame]:
    """Every frame that decodes; what does not is skipped with a warning."""
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
            pictures = stream.decode(packet)
        except av.FFmpegError:
            _warn_once(warnings, _DAMAGED)
            continue
        for picture in pictures:
            if picture.is_corrupt:
                _warn_once(warnings, _DAMAGED)
            _check_size(picture.width, picture.height)
            yield picture


def _declared(
    container: InputContainer, stream: VideoStream, first: VideoFrame, warnings: list[str]
) -> VideoInfo:
    width, height = _displayed_size(first, float(stream.sample_aspect_ratio or 1))
    rates = (float(rate or 0) for rate in (stream.average_rate, stream.guessed_rate))
    fps = next((rate for rate in rates if 0 < rate <= MAX_FPS), 0.0)
    if not fps:
        fps = FALLBACK_FPS
        warnings.append(f"the file gives no frame rate; {fps:g} frames/s is assumed")
    duration_s = (container.duration or 0) / av.time_base
    if stream.duration and stream.time_base:
        duration_s = float(stream.duration * stream.time_base)
    if container.format.name.split(",")[0] in _TIMED_FROM_ZERO:
        duration_s -= max(first.time or 0, 0)
    frames = stream.frames or round(max(duration_s, 0) * fps)
    return VideoInfo(width, height, fps, frames, duration_s)


def _displayed_size(picture: VideoFrame, pixel_aspect: float) -> tuple[int, int]:
    """Upright width and height: the longer side of a pixel that is not square is stretched."""
    width, height = picture.width, picture.height
    if 1 < pixel_aspect <= MAX_PIXEL_ASPECT:
        width = round(width * pixel_aspect)
    elif 1 / MAX_PIXEL_ASPECT <= pixel_aspect < 1:
        height = round(height / pixel_aspect)
    _check_size(width, height)
    return (height, width) if _is_turned(_display_matrix(picture)) else (width, height)


def _upright_rgb(
    picture: VideoFrame, info: VideoInfo, matrix: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """The frame as it is to be shown: PyAV reports the display matrix but does not apply it."""
    turned = _is_turned(matrix)
    width, height = (info.height, info.width) if turned else (info.width, info.height)
    # the annotation lists the types of every pixel format; more threads would be new ones each time
    image: Any = picture.to_ndarray(format="rgb24", width=width, height=height, threads=1)
    if turned:
        image = image.transpose(1, 0, 2)
    to_right, to_bottom = matrix.sum(axis=0)
    image = image[:: 1 if to_bottom > 0 else -1, :: 1 if to_right > 0 else -1]
    return np.ascontiguousarray(image)


def _display_matrix(picture: VideoFrame) -> NDArray[np.int64]:
    """(2, 2): where the picture's axes x, y (rows) go on the display (columns)."""
    sides: Any = picture.side_data
    if "DISPLAYMATRIX" not in sides:
        return np.eye(2, dtype=np.int64)
    matrix = np.frombuffer(bytes(sides["DISPLAYMATRIX"]), np.int32).reshape(3, 3)[:2, :2]
    turned = abs(int(matrix[0, 1])) > abs(int(matrix[0, 0]))
    quarter_turns = np.eye(2, dtype=np.int64)[:, :: -1 if turned else 1]
    signs: NDArray[np.int64] = np.where(matrix < 0, -1, 1)
    return signs * quarter_turns


def _is_turned(matrix: NDArray[np.int64]) -> bool:
    """Whether the picture's width becomes the display's height."""
    return bool(matrix[0, 0] == 0)


def _warn_once(warnings: list[str], text: str) -> None:
    if text not in warnings:
        warnings.append(text)


class _Clock:
    """Frames' times in seconds from the first; the frame rate fills in where they are unusable."""

    def __init__(self, fps: float, warnings: list[str]):
        self._step_s = 1 / fps
        self._warnings = warnings
        self._expected_s = 0.0
        self._last_s = -1.0
        self._origin_s: float | None = None

    def time_s(self, picture: VideoFrame) -> float:
        stamp_s = picture.time
        if stamp_s is not None and self._origin_s is None:
            self._origin_s = stamp_s - self._expected_s
        time_s = self._last_s if stamp_s is None else stamp_s - (self._origin_s or 0.0)
        if time_s <= self._last_s:
            _warn_once(
                self._warnings,
                "times are missing or run backwards; there the frame rate is taken instead",
            )
            time_s = self._expected_s
        self._last_s, self._expected_s = time_s, time_s + self._step_s
        return time_s
