"""POST /video through a real server: real clips, broken videos and files that are not videos."""

import io
import json
import struct
import time
import wave
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest

from model import H36M17, Lifter, VideoOptions, VideoResult, lift_video
from paths import CLIPS
from service.cli import main
from service.wire.openapi.responses import VideoReply

ONE = CLIPS / "one_person.mp4"
TWO = CLIPS / "two_people.mp4"

Reply = dict[str, Any]


def post(client: httpx.Client, content: bytes, **options: object) -> httpx.Response:
    files = {"file": ("clip.mp4", content, "video/mp4")}
    return client.post("/video", files=files, params={k: str(v) for k, v in options.items()})


def lifted(client: httpx.Client, content: bytes, **options: object) -> Reply:
    response = post(client, content, **options)
    assert response.status_code == 200, response.text
    reply: Reply = response.json()
    VideoReply.model_validate(reply, strict=True)
    return reply


@pytest.fixture(scope="module")
def offline(weights_file: Path) -> VideoResult:
    """The result of the library for the clip of one person."""
    return lift_video(ONE, Lifter.load(weights_file), VideoOptions(max_people=1))


@pytest.fixture(scope="module")
def two_people(server: httpx.Client) -> Reply:
    return lifted(server, TWO.read_bytes())


def test_video_reply_equals_library_result(server: httpx.Client, offline: VideoResult) -> None:
    reply = lifted(server, ONE.read_bytes(), max_people=1)
    assert reply["video"]["frames"] == offline.video.frames
    assert reply["detector"] == dict(zip(("name", "version"), offline.detector, strict=True))
    assert reply["model"] == dict(zip(("name", "version"), offline.model, strict=True))
    assert reply["warnings"] == list(offline.warnings)
    assert [person["id"] for person in reply["people"]] == [p.id for p in offline.people] == [1]
    found, expected = reply["people"][0], offline.people[0]
    np.testing.assert_array_equal(found["frames"], expected.frames)
    np.testing.assert_allclose(found["times_s"], expected.times_s)
    np.testing.assert_array_equal(np.float32(found["poses"]), expected.poses.xyz)
    np.testing.assert_array_equal(np.float32(found["confidence"]), expected.confidence)


def test_two_people_keep_their_ids(two_people: Reply) -> None:
    assert [person["id"] for person in two_people["people"]] == [1, 2]
    assert len(two_people["warnings"]) == 2
    assert all("left and right were swapped back" in text for text in two_people["warnings"])
    for person in two_people["people"]:
        assert len(person["frames"]) == len(person["poses"]) == len(person["keypoints"])
        assert len(person["times_s"]) == len(person["frames"])
        assert np.isfinite(np.float32(person["poses"])).all()


def test_limbs_have_human_lengths(two_people: Reply) -> None:
    for person in two_people["people"]:
        poses = np.float32(person["poses"])
        for side in ("left", "right"):
            hip, knee, ankle = (poses[:, index_of(side, j)] for j in ("hip", "knee", "ankle"))
            for start, end in ((hip, knee), (knee, ankle)):
                assert 0.25 < np.median(np.linalg.norm(end - start, axis=-1)) < 0.6


def test_left_joints_are_on_the_left(two_people: Reply) -> None:
    """In the clip the woman walks to the left, with her left side towards the camera; the man,
    further left in the image, first faces the camera and later the right."""
    man, woman = sorted(two_people["people"], key=lambda person: person["keypoints"][20][0][0])
    for joint in ("shoulder", "hip"):
        assert np.mean(left_from_right(woman, joint)[:, 2] < 0) > 0.9
        facing, turned = left_from_right(man, joint)[18:30], left_from_right(man, joint)[55:]
        assert np.mean(facing[:, 0] > 0) > 0.9
        assert np.mean(turned[:, 2] > 0) > 0.9


def left_from_right(person: Reply, joint: str) -> np.ndarray[Any, Any]:
    """From the right joint to the left one: (n, 3) m, z away from the camera."""
    poses = np.float32(person["poses"])
    return poses[:, index_of("left", joint)] - poses[:, index_of("right", joint)]


def index_of(side: str, joint: str) -> int:
    return H36M17.index(f"{side}_{joint}")


HDR = {"x265-params": "transfer=smpte2084:colorprim=bt2020:colormatrix=bt2020nc:log-level=none"}


@pytest.mark.parametrize(
    ("codec", "pixels", "options"),
    [("libx265", "yuv420p10le", HDR), ("libx264", "yuv420p", {"flags": "+ildct+ilme"})],
    ids=["HDR, 10 bit", "interlaced"],
)
def test_hdr_and_interlaced_copies_give_the_same_keypoints(
    server: httpx.Client, two_people: Reply, codec: str, pixels: str, options: dict[str, str]
) -> None:
    reply = lifted(server, transcoded(TWO, codec, pixels, options))
    found, expected = (
        max(video["people"], key=lambda person: person["keypoints"][0][0])["keypoints"][:12]
        for video in (reply, two_people)
    )
    apart_px = np.linalg.norm(np.subtract(found, expected)[..., :2], axis=-1)
    assert (reply["video"]["fps"], len(reply["people"])) == (pytest.approx(30), 2)
    assert np.median(apart_px) < 9  # of a woman 180 px high


def transcoded(clip: Path, codec: str, pixels: str, options: dict[str, str]) -> bytes:
    """The first 12 frames of a clip."""
    content = io.BytesIO()
    with av.open(clip) as source, av.open(content, "w", format="mp4") as target:
        video = source.streams.video[0]
        stream = target.add_stream(codec, rate=video.average_rate, options=options)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, pixels
        for number, frame in zip(range(12), source.decode(video), strict=False):
            changed = frame.reformat(format=pixels)
            changed.pts, changed.time_base = number, 1 / video.average_rate
            target.mux(stream.encode(changed))
        target.mux(stream.encode())
    return content.getvalue()


def test_video_without_people_has_an_empty_result(server: httpx.Client) -> None:
    reply = lifted(server, encoded(lambda index: np.full((120, 160, 3), 127, np.uint8)))
    assert reply["people"] == []
    assert reply["video"]["frames"] == 5


def encoded(
    image: Callable[[int], np.ndarray[Any, Any]], suffix: str = "mp4", frames: int = 5
) -> bytes:
    """A video file of a few frames at 25 fps."""
    written = io.BytesIO()
    with av.open(written, "w", format=suffix) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = image(0).shape[:2]
        stream.pix_fmt = "yuv420p"
        for index in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image(index))))
        container.mux(stream.encode())
    return written.getvalue()


def sound() -> bytes:
    """A second of silence in an MP4 without a video stream."""
    written = io.BytesIO()
    with av.open(written, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return written.getvalue()


def wav() -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    return written.getvalue()


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(9) * 8)
    kinds = ((b"IHDR", head), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in kinds)


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{path}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile '{path}'\n"
DASH = '<?xml version="1.0"?><MPD><Period><BaseURL>{path}</BaseURL></Period></MPD>'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"This is text.\n" * 100,
        np.random.default_rng(0).bytes(100_000),
        sound(),
        wav(),
        png(),
        PLAYLIST.format(path=ONE).encode(),
        PLAYLIST.format(path=f"file://{ONE}").encode(),
        CONCAT.format(path=ONE).encode(),
        DASH.format(path=ONE).encode(),
    ],
    ids=[
        *("empty", "text", "random", "sound in mp4", "wav", "png"),
        *("playlist", "playlist of urls", "concat", "dash"),
    ],
)
def test_file_that_is_not_a_video_gets_415(server: httpx.Client, content: bytes) -> None:
    response = post(server, content)
    assert response.status_code == 415, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["title"] == "Not a video"
    assert str(ONE) not in response.text


def test_video_without_index_gets_422(server: httpx.Client) -> None:
    content = encoded(lambda index: np.full((64, 64, 3), 40 * index, np.uint8))
    response = post(server, content[: content.index(b"moov")])
    assert response.status_code == 422, response.text
    assert response.json()["title"] == "Unreadable video"


def test_truncated_video_is_lifted_with_a_warning(server: httpx.Client) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (25, 64, 64, 3), np.uint8)
    content = encoded(lambda index: noise[index], "matroska", frames=25)
    reply = lifted(server, content[: len(content) * 2 // 3])
    assert 0 < reply["video"]["frames"] < 25
    assert any("breaks off" in warning for warning in reply["warnings"])


def test_command_line_writes_and_reports_poses_and_overlay(
    offline: VideoResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, overlay = tmp_path / "poses.npz", tmp_path / "overlay.mp4"
    arguments = [str(ONE), "-o", str(output), "--overlay", str(overlay), "--max-people", "1"]
    assert main(["video", *arguments]) == 0
    person = offline.people[0]
    people = f"1 person in {offline.video.frames} frames (1: {len(person.frames)})"
    assert capsys.readouterr().out == f"poselift: {ONE}: {people}; wrote {output}, {overlay}\n"
    with np.load(output) as arrays:
        np.testing.assert_array_equal(arrays["poses"], person.poses.xyz)
        np.testing.assert_array_equal(arrays["keypoints"][..., :2], person.keypoints.xy)
        np.testing.assert_array_equal(arrays["frames"], person.frames)
        np.testing.assert_array_equal(arrays["times_s"], person.times_s)
        assert set(arrays["person"].tolist()) == {1}
    with av.open(str(overlay)) as container:
        assert container.streams.video[0].frames == offline.video.frames
    assert sorted(path.name for path in tmp_path.iterdir()) == ["overlay.mp4", "poses.npz"]


def test_command_line_and_server_give_the_same_json(server: httpx.Client, tmp_path: Path) -> None:
    clip = tmp_path / "grey.avi"
    clip.write_bytes(encoded(lambda index: np.full((64, 64, 3), 127, np.uint8), "avi"))
    output = tmp_path / "poses.json"
    assert main(["video", str(clip), "-o", str(output)]) == 0
    reply = lifted(server, clip.read_bytes())
    assert json.loads(output.read_text()) == {k: reply[k] for k in reply.keys() - {"id", "links"}}


def test_video_reply_names_its_job(server: httpx.Client, two_people: Reply) -> None:
    job = server.get(two_people["links"]["self"]).json()
    assert (job["id"], job["links"]) == (two_people["id"], two_people["links"])
    result = server.get(job["links"]["result"]).json()
    assert {"id": job["id"], "links": job["links"], **result} == two_people


@pytest.mark.parametrize("name", ["result", "overlay"])
def test_result_waits_for_the_job_as_preferred(server: httpx.Client, name: str) -> None:
    files = {"file": TWO.read_bytes()}
    job = server.post("/video", files=files, headers={"prefer": "respond-async"}).json()
    path = job["links"][name]
    assert server.get(path).status_code == 409
    start_s = time.monotonic()
    assert server.get(path, headers={"prefer": "wait=1"}).status_code == 409
    assert 1 <= time.monotonic() - start_s < 5
    response = server.get(path, headers={"prefer": "wait=200"})
    assert response.status_code == 200
    assert response.headers["preference-applied"] == "wait=200"
