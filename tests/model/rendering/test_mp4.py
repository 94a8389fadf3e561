"""The overlay's MP4: audio keeps its times whatever its codec, and Chromium plays the file."""

import shutil
from fractions import Fraction
from pathlib import Path

import av
import httpx
import numpy as np
import pytest

from model import VideoInfo, VideoResult, open_video, render_overlay
from model.rendering import mp4

FPS = 25
FRAMES = 30
FLASH_S = 0.6
"""When one frame is white, and a tone begins."""
NOBODY = VideoResult(VideoInfo(64, 48, FPS, FRAMES, 1.2), ("d", "1"), ("m", "1"), (), (), {}, None)


def write_flash_and_tone(
    path: Path, codecs: tuple[str, str], rate: int = 48_000, start_s: float = 0.0
) -> None:
    """1.2 s of black frames with one white, 1.6 s of silence with a tone; the audio starts with the
    file, the frames at start_s."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codecs[0], rate=FPS)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream(codecs[1], rate=rate, layout="stereo")
        for n in range(FRAMES):
            shade = 255 if n == round(FLASH_S * FPS) else 0
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8))
            frame.time_base, frame.pts = Fraction(1, FPS), n + round(start_s * FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        times_s = np.arange(int((1.6 + start_s) * rate)) / rate
        loud = (times_s >= FLASH_S + start_s) & (times_s < FLASH_S + start_s + 0.1)
        tone = np.where(loud, 0.8 * np.sin(2 * np.pi * 1000 * times_s), 0).astype(np.float32)
        for begin in range(0, len(tone) - 960, 960):
            part = np.repeat(tone[None, begin : begin + 960], 2, axis=0)
            samples = av.AudioFrame.from_ndarray(part, "fltp", "stereo")
            samples.sample_rate, samples.time_base, samples.pts = rate, Fraction(1, rate), begin
            container.mux(audio.encode(samples))
        container.mux(audio.encode())


def flash_and_tone_s(path: Path) -> tuple[float, float]:
    """Times from the first frame: of the white frame, and of the tone."""
    with open_video(path) as video:
        flash_s = next(f.time_s for f in video.frames() if f.image[20:25, 20:25].mean() > 120)
        start_s = video.start_s
    with av.open(str(path)) as container:
        for audio in container.decode(container.streams.audio[0]):
            samples = np.abs(audio.to_ndarray().astype(np.float32))
            if audio.format.is_packed:
                samples = samples.reshape(-1, len(audio.layout.channels)).T
            samples /= 1 if audio.format.name.startswith("flt") else 2**15
            loud = np.flatnonzero(samples[0] > 0.2)
            if len(loud):
                assert audio.time is not None
                return flash_s, audio.time + loud[0] / audio.sample_rate - start_s
    raise AssertionError("no tone")


@pytest.mark.parametrize(
    ("name", "codecs", "rate", "start_s", "out_codec"),
    [
        ("phone.mp4", ("libx264", "aac"), 44_100, 0.0, "aac"),
        ("late.mkv", ("libx264", "libopus"), 48_000, 0.52, "opus"),
        ("camera.mov", ("mpeg4", "pcm_s16le"), 44_100, 0.0, "aac"),
        ("late.avi", ("mpeg4", "libmp3lame"), 11_025, 0.0, "aac"),
        ("broadcast.ts", ("mpeg2video", "mp2"), 48_000, 0.52, "aac"),
    ],
)
def test_audio_keeps_its_time(
    name: str, codecs: tuple[str, str], rate: int, start_s: float, out_codec: str, tmp_path: Path
) -> None:
    source, out = tmp_path / name, tmp_path / "out.mp4"
    write_flash_and_tone(source, codecs, rate, start_s)
    assert render_overlay(source, NOBODY, out) == []
    before, after = flash_and_tone_s(source), flash_and_tone_s(out)
    assert after == pytest.approx(before, abs=0.003)
    with open_video(source) as video, av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == out_codec
        # audio after the last frame is cut
        assert len(list(video.frames())) >= FRAMES
        expected_s = pytest.approx(video.read_info.duration_s, abs=0.03)
        assert (container.duration or 0) / av.time_base == expected_s


def test_truncated_audio_loses_no_frames(tmp_path: Path) -> None:
    source, out = tmp_path / "truncated.mkv", tmp_path / "out.mp4"
    write_flash_and_tone(source, ("libx264", "libopus"))
    content = bytearray(source.read_bytes())
    content[len(content) // 2 :] = b"\xff" * (len(content) - len(content) // 2)
    source.write_bytes(content)
    with open_video(source) as video:
        readable = len(list(video.frames()))
    render_overlay(source, NOBODY, out)
    with open_video(out) as video:
        assert len(list(video.frames())) == readable > 0


def test_single_frame_lasts_one_frame_period(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "one.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 63, 47, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((47, 63, 3), np.uint8))))
        container.mux(stream.encode())
    render_overlay(tmp_path / "one.mp4", NOBODY, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert (container.duration or 0) / av.time_base == pytest.approx(0.2, abs=0.01)


def test_vp9_is_used_without_x264(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoders = {"no_such_encoder": {}, **mp4.ENCODERS}
    del encoders["libx264"]
    monkeypatch.setattr(mp4, "ENCODERS", encoders)
    write_flash_and_tone(tmp_path / "in.mp4", ("mpeg4", "aac"))
    render_overlay(tmp_path / "in.mp4", NOBODY, tmp_path / "out.mp4")
    assert flash_and_tone_s(tmp_path / "out.mp4") == pytest.approx((FLASH_S, FLASH_S), abs=0.003)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.name.endswith("vp9")


PLAY = """async () => {
    const video = document.querySelector("video");
    video.loop = false;
    await new Promise((done, failed) => {
        video.onended = done;
        video.onerror = () => failed(video.error.message);
        video.play().catch(failed);
    });
    return [video.videoWidth, video.videoHeight, video.duration, video.webkitAudioDecodedByteCount];
}"""


def test_chromium_plays_the_overlay(server: httpx.Client, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    write_flash_and_tone(tmp_path / "clip.mp4", ("libx264", "aac"))
    files = {"file": (tmp_path / "clip.mp4").read_bytes()}
    job = server.post("/video", files=files, headers={"prefer": "wait=100"}, timeout=120)
    overlay = server.base_url.join(f"{job.headers['location']}/overlay")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
            timeout=120_000,
        )
        page = browser.new_page()
        page.goto(str(overlay), wait_until="commit", timeout=120_000)
        width, height, duration_s, audio_bytes = page.evaluate(PLAY)
        browser.close()
    assert (width, height) == (840, 360)
    assert duration_s == pytest.approx(1.2, abs=0.03)
    assert audio_bytes > 0
