"""Container formats: recognised by content, opened so that FFmpeg reads nothing but this one file.

The first bytes choose one demuxer, never that of a playlist; FFmpeg gets a Python file instead of a
path, and every request of it to open another file is refused.
"""

from typing import Any, BinaryIO, NoReturn

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from model.errors import NotAVideo, TooLarge, UnreadableVideo

MAX_SIDE_PX = 16384
MAX_PIXELS = 100_000_000

_SNIFFED_BYTES = 1024
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_STILL_BRANDS = (b"mif1", b"avif", b"heic", b"heix", b"heim", b"heis", b"jpeg")
"""HEIF still images, which share MP4's boxes."""
_SIGNATURES = (
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"OggS", "ogg"),
    (b"FLV\x01", "flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"\x00\x00\x01\xba", "mpeg"),
)
_ACCEPTED = "MP4, MOV, 3GP, MKV, WebM, AVI, MPEG, Ogg, FLV or ASF"


def container_of(start: bytes) -> str | None:
    """FFmpeg's name of the video container that starts with these bytes; None if it is none."""
    if start[4:8] in _MP4_BOXES:
        return None if start[8:12] in _STILL_BRANDS else "mov"
    if start[:4] == b"RIFF" and start[8:12] in (b"AVI ", b"AVIX"):
        return "avi"
    # MPEG-TS has a sync byte every 188 bytes, or every 192 after 4 others on discs
    if start[:565:188] == b"GGGG" or start[4:581:192] == b"GGGG":
        return "mpegts"
    return next((name for mark, name in _SIGNATURES if start.startswith(mark)), None)


def open_container(file: BinaryIO) -> InputContainer:
    """Open the demuxer of a video file. Raises NotAVideo, and UnreadableVideo if FFmpeg fails."""
    start = file.read(_SNIFFED_BYTES)
    file.seek(0)
    if not start:
        raise NotAVideo("the file is empty")
    name = container_of(start)
    if name is None:
        raise NotAVideo(f"the content is not a video; expected {_ACCEPTED}")
    options = {"protocol_whitelist": "none", "max_pixels": str(MAX_PIXELS)}
    try:
        return av.open(
            file, "r", format=name, options=options, metadata_errors="replace", io_open=_refuse
        )
    except av.FFmpegError as error:
        raise UnreadableVideo(f"the {name} file cannot be read: {error.strerror}") from error


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError(f"a video may not open other files: {url}")


def video_stream(container: InputContainer) -> VideoStream:
    """The container's main video stream. Raises NotAVideo, UnreadableVideo, TooLarge."""
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        raise NotAVideo("the file has no video stream; does it hold only audio?")
    decoder: Any = stream.codec_context
    if decoder is None:
        raise UnreadableVideo("no decoder is available for the video's codec")
    check_size(decoder.width, decoder.height)
    return stream


def check_size(width: int, height: int) -> None:
    """Raises TooLarge."""
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise TooLarge(
            f"an image may have at most {MAX_SIDE_PX} px a side and {MAX_PIXELS // 10**6} "
            f"megapixels, got {width} x {height}"
        )
