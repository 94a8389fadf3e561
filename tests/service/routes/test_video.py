"""POST /video through a real server, on real clips, broken ones and what is no video at all."""

import io
import json
import struct
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
from service.wire.openapi.replies import VideoReply

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
    """The clip of one person, by the library alone."""
    return lift_video(ONE, Lifter.load(weights_file), VideoOptions(max_people=1))


@pytest.fixture(scope="module")
def two_people(server: httpx.Client) -> Reply:
    return lifted(server, TWO.read_bytes())


def test_the_answer_is_the_librarys(server: httpx.Client, offline: VideoResult) -> None:
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


def test_both_people_are_found_and_kept_apart(two_people: Reply) -> None:
    assert [person["id"] for person in two_people["people"]] == [1, 2]
    assert len(two_people["warnings"]) == 2
    assert all("left and right were swapped back" in said for said in two_people["warnings"])
    for person in two_people["people"]:
        assert len(person["frames"]) == len(person["poses"]) == len(person["keypoints"])
        assert len(person["times_s"]) == len(person["frames"])
        assert np.isfinite(np.float32(person["poses"])).all()


def test_limbs_are_of_human_length(two_people: Reply) -> None:
    for person in two_people["people"]:
        poses = np.float32(person["poses"])
        for side in ("left", "right"):
            hip, knee, ankle = (poses[:, index_of(side, j)] for j in ("hip", "knee", "ankle"))
            for start, end in ((hip, knee), (knee, ankle)):
                assert 0.25 < np.median(np.linalg.norm(end - start, axis=-1)) < 0.6


def test_left_is_left(two_people: Reply) -> None:
    """As one sees in the clip: the woman walks to the left, so that her left side is the near one;
    the man, further left in the picture, faces the camera at first and later the right."""
    man, woman = sorted(two_people["people"], key=lambda one: one["keypoints"][20][0][0])
    for joint in ("shoulder", "hip"):
        assert np.mean(left_from_right(woman, joint)[:, 2] < 0) > 0.9
        facing, turned = left_from_right(man, joint)[18:30], left_from_right(man, joint)[55:]
        assert np.mean(facing[:, 0] > 0) > 0.9
        assert np.mean(turned[:, 2] > 0) > 0.9


def left_from_right(person: Reply, joint: str) -> np.ndarray[Any, Any]:
    """Where the left joint lies, seen from the right one: (n, 3) m, z away from the camera."""
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
def test_other_ways_to_film_the_same(
    server: httpx.Client, two_people: Reply, codec: str, pixels: str, options: dict[str, str]
) -> None:
    reply = lifted(server, transcoded(TWO, codec, pixels, options))
    found, expected = (
        max(one["people"], key=lambda person: person["keypoints"][0][0])["keypoints"][:12]
        for one in (reply, two_people)
    )
    apart_px = np.linalg.norm(np.subtract(found, expected)[..., :2], axis=-1)
    assert (reply["video"]["fps"], len(reply["people"])) == (pytest.approx(30), 2)
    assert np.median(apart_px) < 9  # of a woman 180 px high


def transcoded(clip: Path, codec: str, pixels: str, options: dict[str, str]) -> bytes:
    """The first 12 frames of a clip."""
    content = io.BytesIO()
    with av.open(clip) as source, av.open(content, "w", format="mp4") as target:
        film = source.streams.video[0]
        stream = target.add_stream(codec, rate=film.average_rate, options=options)
        stream.width, stream.height, stream.pix_fmt = film.width, film.height, pixels
        for number, frame in zip(range(12), source.decode(film), strict=False):
            changed = frame.reformat(format=pixels)
            changed.pts, changed.time_base = number, 1 / film.average_rate
            target.mux(stream.encode(changed))
        target.mux(stream.encode())
    return content.getvalue()


def test_nobody_in_the_picture_is_an_answer(server: httpx.Client) -> None:
    reply = lifted(server, film(lambda index: np.full((120, 160, 3), 127, np.uint8)))
    assert reply["people"] == []
    assert reply["video"]["frames"] == 5


def film(
    picture: Callable[[int], np.ndarray[Any, Any]], suffix: str = "mp4", frames: int = 5
) -> bytes:
    """A video file of a few frames, 25 a second."""
    written = io.BytesIO()
    with av.open(written, "w", format=suffix) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = picture(0).shape[:2]
        stream.pix_fmt = "yuv420p"
        for index in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index))))
        container.mux(stream.encode())
    return written.getvalue()


def sound() -> bytes:
    """A second of silence in an MP4, without a picture."""
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
        b"I am not a video.\n" * 100,
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
        *("empty", "text", "random", "sound in mp4", "wav", "picture"),
        *("playlist", "playlist of urls", "concat", "dash"),
    ],
)
def test_what_is_no_video_is_415(server: httpx.Client, content: bytes) -> None:
    response = post(server, content)
    assert response.status_code == 415, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["title"] == "Not a video"
    assert str(ONE) not in response.text


def test_a_video_without_its_index_is_unreadable(server: httpx.Client) -> None:
    content = film(lambda index: np.full((64, 64, 3), 40 * index, np.uint8))
    response = post(server, content[: content.index(b"moov")])
    assert response.status_code == 422, response.text
    assert response.json()["title"] == "Unreadable video"


def test_a_video_that_breaks_off_gives_what_is_there(server: httpx.Client) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (25, 64, 64, 3), np.uint8)
    content = film(lambda index: noise[index], "matroska", frames=25)
    reply = lifted(server, content[: len(content) * 2 // 3])
    assert 0 < reply["video"]["frames"] < 25
    assert any("breaks off" in warning for warning in reply["warnings"])


def test_the_command_line_answers_as_the_server_does(offline: VideoResult, tmp_path: Path) -> None:
    """One run writes the poses and the picture of them; npz holds what json holds."""
    output, overlay = tmp_path / "poses.npz", tmp_path / "overlay.mp4"
    asked = [str(ONE), "-o", str(output), "--overlay", str(overlay), "--max-people", "1"]
    assert main(["video", *asked]) == 0
    person = offline.people[0]
    with np.load(output) as arrays:
        np.testing.assert_array_equal(arrays["poses"], person.poses.xyz)
        np.testing.assert_array_equal(arrays["keypoints"][..., :2], person.keypoints.xy)
        np.testing.assert_array_equal(arrays["frames"], person.frames)
        np.testing.assert_array_equal(arrays["times_s"], person.times_s)
        assert set(arrays["person"].tolist()) == {1}
    with av.open(str(overlay)) as film_of_poses:
        assert film_of_poses.streams.video[0].frames == offline.video.frames
    assert sorted(path.name for path in tmp_path.iterdir()) == ["overlay.mp4", "poses.npz"]


def test_the_json_of_the_command_line_is_the_servers(server: httpx.Client, tmp_path: Path) -> None:
    clip = tmp_path / "grey.avi"
    clip.write_bytes(film(lambda index: np.full((64, 64, 3), 127, np.uint8), "avi"))
    output = tmp_path / "poses.json"
    assert main(["video", str(clip), "-o", str(output)]) == 0
    assert json.loads(output.read_text()) == lifted(server, clip.read_bytes())
