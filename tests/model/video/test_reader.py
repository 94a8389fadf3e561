"""Video files: upright images, true times, and damaged, truncated and other files."""

import gc
import io
import json
import wave
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from PIL import Image

from films import CORNERS, corners, film
from model.errors import NotAVideo, TooLarge, UnreadableVideo
from model.video.containers import container_of
from model.video.metadata import VideoInfo
from model.video.reader import Frame, open_video
from paths import ONE, TWO


def corner_at(image: NDArray[np.uint8], x: int, y: int) -> tuple[int, int]:
    """The source corner whose colour this corner of the image has."""
    height, width = image.shape[:2]
    colour = image[height // 4 if y < 0 else -height // 4, width // 4 if x < 0 else -width // 4]
    return min(CORNERS, key=lambda corner: np.abs(colour - np.array(CORNERS[corner], int)).sum())


def audio_file(suffix: str = "mp4", codec: str = "aac") -> bytes:
    written = io.BytesIO()
    with av.open(written, "w", format=suffix) as container:
        stream = container.add_stream(codec, rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return written.getvalue()


def still_image(kind: str) -> bytes:
    written = io.BytesIO()
    Image.fromarray(corners()).save(written, kind)
    return written.getvalue()


def wav() -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(4000))
    return written.getvalue()


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes | Path], tuple[list[Frame], VideoInfo, list[str]]]:
    def read(content: bytes | Path) -> tuple[list[Frame], VideoInfo, list[str]]:
        path = content if isinstance(content, Path) else tmp_path / "upload"
        if isinstance(content, bytes):
            path.write_bytes(content)
        with open_video(path) as video:
            return list(video.frames()), video.read_info, video.warnings

    return read


Read = Callable[[bytes | Path], tuple[list[Frame], VideoInfo, list[str]]]


def test_reader_decodes_a_real_video(read: Read) -> None:
    with open_video(TWO) as video:
        info = video.info
        assert (info.width, info.height, info.frames) == (854, 480, 75)
        assert (info.fps, info.duration_s) == (pytest.approx(30), pytest.approx(2.5))
    frames, info, warnings = read(TWO)
    assert info == VideoInfo(854, 480, pytest.approx(30.0), 75, pytest.approx(2.5))
    assert warnings == []
    assert [frame.index for frame in frames] == list(range(75))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(75) / 30, atol=1e-6)
    assert {frame.image.shape for frame in frames} == {(480, 854, 3)}
    assert frames[0].image.dtype == np.uint8 and frames[0].image.flags.c_contiguous


def test_reader_turns_a_rotated_phone_video_upright(read: Read) -> None:
    frames, info, _ = read(ONE)
    assert (info.width, info.height) == (360, 640)
    ceiling, mat = frames[0].image[:40].mean(axis=(0, 1)), frames[0].image[-40:].mean(axis=(0, 1))
    assert ceiling[2] < mat[2] and ceiling[0] > mat[0], "light above, blue below"


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("to_right", [1, -1])
@pytest.mark.parametrize("to_bottom", [1, -1])
def test_reader_applies_each_of_eight_display_matrices(
    read: Read, turned: bool, to_right: int, to_bottom: int
) -> None:
    """A display matrix maps (x, y) to (a x + c y, b x + d y): ISO/IEC 14496-12, 6.2.2."""
    a, b, c, d = (0, to_bottom, to_right, 0) if turned else (to_right, 0, 0, to_bottom)
    unit = 1 << 16
    matrix = [a * unit, b * unit, 0, c * unit, d * unit, 0, 0, 0, 1 << 30]
    frames, info, _ = read(film(prepare=lambda stream: stream.set_display_matrix(matrix)))
    assert (info.width, info.height) == ((48, 64) if turned else (64, 48))
    for frame in frames:
        assert frame.image.shape == (info.height, info.width, 3)
        for x, y in CORNERS:
            assert corner_at(frame.image, a * x + c * y, b * x + d * y) == (x, y)


@pytest.mark.parametrize("suffix", ["mp4", "matroska", "mov", "asf", "flv", "mpegts"])
def test_uneven_times_are_kept_relative_to_the_first_frame(read: Read, suffix: str) -> None:
    times = np.array([0, 0.04, 0.1, 0.5, 0.52, 1.3])
    codec = "flv" if suffix == "flv" else "mpeg4"
    frames, info, warnings = read(film(times + 3, suffix=suffix, codec=codec))
    np.testing.assert_allclose([frame.time_s for frame in frames], times, atol=1e-3)
    assert info.frames == 6 and warnings == []
    assert info.fps == pytest.approx(20, rel=1e-2)  # by the steps of 0.04 and 0.06 s
    assert info.duration_s == pytest.approx(1.3 + 1 / info.fps, rel=1e-3)


def test_decreasing_times_continue_at_the_frame_rate(read: Read) -> None:
    once = film(suffix="mpegts")
    frames, info, warnings = read(once + once)
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(10) / 25, atol=1e-3)
    assert info.frames == 10
    assert any("do not increase" in warning for warning in warnings)


def test_non_square_pixels_are_stretched(read: Read) -> None:
    def wide(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)

    frames, info, _ = read(film(suffix="matroska", prepare=wide))
    assert (info.width, info.height) == (128, 48) and frames[0].image.shape == (48, 128, 3)


def test_frames_keep_their_size_and_the_video_has_the_largest(read: Read) -> None:
    small, large = film(suffix="mpegts"), film(suffix="mpegts", image=corners(128, 96))
    frames, info, warnings = read(small + large)
    assert [frame.image.shape for frame in frames] == [(48, 64, 3)] * 5 + [(96, 128, 3)] * 5
    assert (info.width, info.height) == (128, 96)
    assert all(corner_at(frames[-1].image, x, y) == (x, y) for x, y in CORNERS)
    assert "the image size changes; keypoints are in pixels of the largest" in warnings


@pytest.mark.parametrize("every", [1, 4])
def test_the_largest_size_counts_in_skipped_frames_too(every: int, tmp_path: Path) -> None:
    path = tmp_path / "video"
    sizes = [(64, 48), (64, 48), (128, 96), (64, 48), (64, 48)]
    parts = [film([n / 25], suffix="mpegts", image=corners(*size)) for n, size in enumerate(sizes)]
    path.write_bytes(b"".join(parts))
    with open_video(path) as video:
        assert list(video.frames(every))
        assert (video.read_info.width, video.read_info.height) == (128, 96)


@pytest.mark.parametrize(("every", "indices"), [(1, range(75)), (2, range(0, 75, 2)), (7, None)])
def test_every_nth_frame_and_the_last_are_returned(every: int, indices: range | None) -> None:
    with open_video(TWO) as video:
        whole = list(video.frames())
    with open_video(TWO) as video:
        some = list(video.frames(every))
        assert [frame.index for frame in some] == list(indices or [*range(0, 75, 7), 74])
        assert video.read_info.frames == 75
        np.testing.assert_array_equal(video.times_s, [frame.time_s for frame in whole])
    for frame in some:
        assert frame.time_s == whole[frame.index].time_s
        np.testing.assert_array_equal(frame.image, whole[frame.index].image)


def test_frames_are_freed_without_garbage_collection(tmp_path: Path) -> None:
    """The collector counts objects, not bytes: frames that wait for it fill memory."""
    path = tmp_path / "large.mp4"
    path.write_bytes(film([t / 25 for t in range(40)], image=np.zeros((1080, 1920, 3), np.uint8)))
    gc.disable()
    try:
        with open_video(path) as video:
            held = [psutil.Process().memory_info().rss for _ in video.frames()]
    finally:
        gc.enable()
    assert held[-1] - held[9] < 5 * 1920 * 1080


def test_video_of_one_frame_is_read(read: Read) -> None:
    frames, info, warnings = read(film([0]))
    assert len(frames) == info.frames == 1
    assert (frames[0].time_s, info.duration_s, warnings) == (0, 1 / info.fps, [])


def test_truncated_video_yields_its_first_frames_and_a_warning(read: Read) -> None:
    whole, _, _ = read(TWO)
    content = TWO.read_bytes()
    frames, info, warnings = read(content[: len(content) * 3 // 4])
    assert 10 < len(frames) == info.frames < 60
    assert any("breaks off" in warning for warning in warnings)
    for frame, expected in zip(frames[:-1], whole, strict=False):
        np.testing.assert_array_equal(frame.image, expected.image)
        assert frame.time_s == expected.time_s


def test_damaged_video_is_read_on_with_a_warning(read: Read) -> None:
    content = bytearray(TWO.read_bytes())
    content[60_000:64_000] = np.random.default_rng(0).bytes(4000)
    frames, _, warnings = read(bytes(content))
    assert len(frames) > 60
    assert "parts of the video are damaged" in warnings


def test_mp4_without_index_is_unreadable(read: Read) -> None:
    content = ONE.read_bytes()
    with pytest.raises(UnreadableVideo, match="mov"):
        read(content[: len(content) // 2])


def test_video_without_frames_is_unreadable(read: Read) -> None:
    content = TWO.read_bytes()
    with pytest.raises(UnreadableVideo, match="no frame"):
        read(content[: content.index(b"mdat") + 100])


def test_unknown_codec_is_unreadable(read: Read) -> None:
    with pytest.raises(UnreadableVideo, match="no decoder"):
        read(TWO.read_bytes().replace(b"avc1", b"zzz9"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"this is a text, not a video\n" * 50,
        np.random.default_rng(0).bytes(50_000),
        zlib.compress(bytes(1000)),
        wav(),
        *(still_image(kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")),
        b"\0\0\0\x20ftypheic" + bytes(1000),
        b"\0\0\0\x20ftypavif" + bytes(1000),
    ],
    ids=[
        *("empty", "text", "random", "compressed", "wav"),
        *("png", "jpeg", "gif", "webp", "bmp", "tiff", "heic", "avif"),
    ],
)
def test_other_content_is_not_a_video(read: Read, content: bytes) -> None:
    with pytest.raises(NotAVideo):
        read(content)


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "aac"), ("matroska", "aac")])
def test_audio_file_is_not_a_video(read: Read, suffix: str, codec: str) -> None:
    with pytest.raises(NotAVideo, match="only audio"):
        read(audio_file(suffix, codec))


def playlists(video: Path) -> dict[str, str]:
    """Playlists that name another file, which must not be read."""
    return {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{video}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{video}'\n",
        "ffmetadata": f";FFMETADATA1\ntitle={video}\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4">'
        f'<Representation id="1" bandwidth="1"><BaseURL>file://{video}</BaseURL><SegmentBase/>'
        "</Representation></AdaptationSet></Period></MPD>",
        "webm_dash_manifest": json.dumps({"file": str(video)}),
    }


@pytest.mark.parametrize("kind", playlists(TWO))
def test_playlist_is_not_a_video(read: Read, kind: str) -> None:
    with pytest.raises(NotAVideo):
        read(playlists(TWO)[kind].encode())


@pytest.mark.parametrize("kind", ["hls", "concat", "dash"])
def test_playlist_demuxer_cannot_open_other_files(
    read: Read, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("model.video.containers.container_of", lambda start: kind)
    with pytest.raises((UnreadableVideo, NotAVideo, PermissionError)):
        read(playlists(TWO)[kind].encode())


def test_too_large_image_is_rejected_before_decoding(read: Read) -> None:
    with pytest.raises(TooLarge, match="16448 x 16"):
        read(film([0], codec="ffv1", suffix="matroska", image=np.zeros((16, 16448, 3), np.uint8)))


def test_metadata_that_is_not_utf8_is_accepted(read: Read) -> None:
    content = film(prepare=lambda stream: stream.metadata.update(handler_name="umlaut"))
    assert b"umlaut" in content
    frames, _, _ = read(content.replace(b"umlaut", b"\xff\xfe\xfd\xfc\xfb\xfa"))
    assert len(frames) == 5


@pytest.mark.parametrize(
    ("suffix", "name"),
    [
        *(("mp4", "mov"), ("mov", "mov"), ("matroska", "matroska"), ("avi", "avi")),
        *(("mpegts", "mpegts"), ("asf", "asf"), ("flv", "flv"), ("mpeg", "mpeg")),
    ],
)
def test_containers_are_recognised_by_content_and_read(read: Read, suffix: str, name: str) -> None:
    codec = {"flv": "flv1", "mpeg": "mpeg2video"}.get(suffix, "mpeg4")
    times = np.arange(5) / 25
    content = film(times, suffix=suffix, codec="flv" if codec == "flv1" else codec)
    assert container_of(content[:1024]) == name
    frames, _, _ = read(content)
    assert len(frames) == 5
    np.testing.assert_allclose([frame.time_s for frame in frames], times, atol=1e-3)
