"""WS /stream with images of a real video of two people, through a real server."""

import asyncio
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from live_client import Document, connected, opened, receive, rest, send
from model import (
    H36M17,
    MAX_SIDE_PX,
    KeypointSequence,
    Lifter,
    SwapRepair,
    TooLarge,
    Tracker,
    open_detector,
    open_video,
)
from paths import TWO as CLIP
from servers import ServerStarter, in_a_loop
from service.admission.capacity import Capacity
from service.errors import NotReady, NotUnderstood
from service.live.jpeg import read_jpeg
from service.live.latest_image import MAX_SKIPPED, LatestImage
from service.live.stream import _Connection
from service.live.watching import ImageOptions, Watcher
from service.settings import read_settings

FRAMES = 16


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    with open_video(CLIP) as video:
        return [jpeg(frame.image) for frame, _ in zip(video.frames(), range(FRAMES), strict=False)]


def jpeg(image: NDArray[np.uint8], **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=92, **options)
    return file.getvalue()


def seen_offline(jpegs: list[bytes]) -> Iterator[tuple[int, KeypointSequence]]:
    """Both people over their tracked frames."""
    tracker, rows = Tracker(max_people=4), {}
    with closing(open_detector("mediapipe", 4)) as detector:
        for frame, data in enumerate(jpegs):
            picture = np.asarray(Image.open(io.BytesIO(data)))
            for id, person in tracker.update(detector.detect(picture, frame / 30), frame / 30):
                rows.setdefault(id, []).append(person)
        size = (picture.shape[1], picture.shape[0])
        for id, people in rows.items():
            xy = np.stack([person.xy for person in people])
            score = np.stack([person.score for person in people])
            yield id, KeypointSequence(xy, score, size, 30.0, detector.skeleton)


def test_both_people_of_a_video_equal_the_library(
    server: httpx.Client, jpegs: list[bytes], weights_file: Path
) -> None:
    with connected(server) as socket:
        ready = opened(socket, {"fps": 30, "repair": True})
        answers = []
        for frame, data in enumerate(jpegs):
            send(socket, data)
            # wait until the image is processed, so that none is skipped
            while not answers or (answers[-1]["frame"], answers[-1]["final"]) != (frame, False):
                answers.append(receive(socket))
        send(socket, {"end": True})
        more, code, _ = rest(socket)
    assert code == 1000
    assert ready["applied"]["repair"] == "left/right swaps undone, from past frames alone"
    final = [answer for answer in answers + more if answer["final"]]
    assert [answer["frame"] for answer in final] == list(range(FRAMES))
    assert not any("skipped" in answer for answer in answers)
    lifter = Lifter.load(weights_file)
    expected = {
        id: lifter.lift(SwapRepair(H36M17).push(keypoints.to_h36m17())[0]).xyz
        for id, keypoints in seen_offline(jpegs)
    }
    assert expected.keys() == {1, 2}
    for id, xyz in expected.items():
        people = [one for answer in final for one in answer["people"] if one["id"] == id]
        np.testing.assert_allclose([one["pose"] for one in people], xyz, atol=1e-4)


def test_skipped_frames_are_named(server: httpx.Client, jpegs: list[bytes]) -> None:
    with connected(server) as socket:
        opened(socket, {"fps": 30})
        for data in jpegs:
            send(socket, data)
        send(socket, {"end": True})
        answers, code, _ = rest(socket)
    assert code == 1000
    for kind in (False, True):
        same = [answer for answer in answers if answer["final"] == kind]
        assert [answer["frame"] for answer in same] == list(range(FRAMES))
        skipped = [frame for answer in same for frame in answer.get("skipped", [])]
        assert skipped == sorted(set(skipped))
        assert 0 < len(skipped) < FRAMES - 1
        assert FRAMES - 1 not in skipped


@pytest.mark.parametrize(
    ("message", "code"),
    [({"frame": 1, "people": []}, 1003), ({"end": 1}, 1008), ("end", 1008)],
)
def test_text_among_images_ends_the_stream(
    server: httpx.Client, jpegs: list[bytes], message: Document | str, code: int
) -> None:
    with connected(server) as socket:
        opened(socket, {"fps": 30})
        send(socket, jpegs[0])
        send(socket, message)
        answers, closed_with, _ = rest(socket)
    assert closed_with == code
    assert "error" in answers[-1]


def test_image_of_another_size_is_rejected(server: httpx.Client, jpegs: list[bytes]) -> None:
    with connected(server) as socket:
        opened(socket, {"fps": 30, "image_size": [64, 48]})
        send(socket, jpegs[0])
        (answer,), code, reason = rest(socket)
    assert code == 1008
    assert reason.startswith("all images must be 64x48, got ")
    assert answer["error"]["status"] == 422


def image_options(max_people: int = 4) -> ImageOptions:
    return ImageOptions(30, None, "mediapipe", "cpu", max_people, 10**6)


def test_keypoints_of_skipped_frames_are_interpolated(jpegs: list[bytes]) -> None:
    with closing(Watcher(image_options())) as watcher:
        for frame in range(8):
            frames, before = watcher.detect(jpegs[frame], frame)
            assert frames == range(frame, frame + 1)
        frames, now = watcher.detect(jpegs[12], 12)
        _, later = watcher.detect(jpegs[13], 100)
    assert frames == range(8, 13)
    assert before.keys() == now.keys() == {1, 2}
    for id, sequence in now.items():
        assert len(sequence) == 5
        way = np.concatenate([before[id].rows, sequence.rows])
        straight = np.linspace(way[0], way[-1], 6)
        np.testing.assert_allclose(way, straight, atol=1e-3)
    assert all(len(sequence) == 1 for sequence in later.values())


def test_image_is_turned_upright_by_its_exif_orientation() -> None:
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, 32:] = 255
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown turned by a quarter, clockwise
    upright = read_jpeg(jpeg(picture, exif=turned), 10**6)
    assert upright.shape == (64, 32, 3)
    assert upright[:30].mean() < 10 and upright[34:].mean() > 245


def test_large_or_truncated_image_is_rejected() -> None:
    picture = jpeg(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(TooLarge, match="may have 4095 pixels and 16384 px per side, got 64x64"):
        read_jpeg(picture, 4095)
    with pytest.raises(NotUnderstood):
        read_jpeg(picture[: len(picture) // 2], 4096)


def scans(jpeg: bytes) -> bytes:
    """The last scan of a progressive JPEG, from its marker to the end."""
    return jpeg[jpeg.rindex(b"\xff\xda") : -2]


def test_jpeg_with_many_scans_is_rejected() -> None:
    """A scan takes as long to decode as an image, and may be only 80 bytes."""
    plain = jpeg(np.zeros((64, 64, 3), np.uint8), progressive=True)
    more = [plain[:-2] + scans(plain) * count + plain[-2:] for count in (50, 300)]
    assert read_jpeg(more[0], 4096).shape == (64, 64, 3)
    with pytest.raises(TooLarge, match="may have 100 scans, got 31"):
        read_jpeg(more[1], 4096)
    # markers in metadata and after the end do not count
    marker = b"\xff\xda" * 300
    extra = b"\xff\xe1" + (len(marker) + 2).to_bytes(2, "big") + marker
    assert read_jpeg(plain[:2] + extra + plain[2:] + marker, 4096).shape == (64, 64, 3)


def test_other_image_formats_are_rejected() -> None:
    with pytest.raises(NotUnderstood, match="must be a JPEG image, got something else"):
        read_jpeg(b"GIF89a", 4096)


@pytest.mark.parametrize(("width", "height"), [(30_000, 16), (16, 65_500), (1500, 1), (1, 1)])
def test_images_of_extreme_shapes_do_not_harm_the_server(
    server: httpx.Client, jpegs: list[bytes], width: int, height: int
) -> None:
    """A long one ended the server, a thin one took minutes."""
    too_large = max(width, height) > MAX_SIDE_PX
    with connected(server) as socket:
        opened(socket, {"fps": 30})
        send(socket, jpeg(np.full((height, width, 3), 90, np.uint8)))
        if not too_large:
            send(socket, {"end": True})
        answers, code, reason = rest(socket)
    if too_large:
        assert code == 1008 and reason.endswith(f"px per side, got {width}x{height}")
    else:
        assert code == 1000 and [one["people"] for one in answers] == [[], []]
    assert server.get("/health/live").status_code == 200


def test_image_streams_above_the_limit_are_rejected(
    start_server: ServerStarter, jpegs: list[bytes]
) -> None:
    """Each has a detector, so their limit is lower than that of all streams."""
    with start_server(live_pictures_at_once=1) as server:
        with connected(server) as first, connected(server) as second:
            opened(first, {"fps": 30})
            send(first, jpegs[0])
            assert receive(first)["people"] == []
            opened(second, {"fps": 30})
            send(second, jpegs[0])
            (answer,), code, reason = rest(second)
            assert (answer["error"]["status"], code) == (503, 1013)
            assert reason.startswith("1 live streams of pictures are under way")
            send(first, {"end": True})
            assert rest(first)[1] == 1000
        with connected(server) as again:
            opened(again, {"fps": 30})
            send(again, jpegs[0])
            assert receive(again)["people"] == []


def test_keypoints_of_a_large_image_equal_those_of_a_small_one(jpegs: list[bytes]) -> None:
    """The detector subsamples large images."""
    picture = np.asarray(Image.open(io.BytesIO(jpegs[0])))
    people = []
    for times in (1, 6):
        with closing(open_detector("mediapipe", 2)) as detector:
            large = np.kron(picture, np.ones((times, times, 1), np.uint8))
            found = detector.detect(large, 0.0)
        people.append(sorted((one.middle() / times).tolist() for one in found))
    np.testing.assert_allclose(people[1], people[0], atol=6)
    assert len(people[0]) == 2


def test_lowest_frame_rate_is_accepted(jpegs: list[bytes]) -> None:
    with closing(Watcher(replace(image_options(), fps=5e-324))) as watcher:
        assert [len(watcher.detect(data, frame)[0]) for frame, data in enumerate(jpegs[:3])] == [
            1
        ] * 3


@in_a_loop
async def test_skipped_images_are_limited_while_the_detector_is_busy() -> None:
    newest, read = LatestImage(), 0

    async def receive() -> bytes | str:
        nonlocal read
        await asyncio.sleep(0)
        read += 1
        return b"picture" if read < 3 * MAX_SKIPPED else '{"end": true}'

    receiving = asyncio.create_task(newest.receive_all(b"first", receive))
    taken = -1
    while not receiving.done():
        for _ in range(3 * MAX_SKIPPED):
            await asyncio.sleep(0)
        before, held = taken, await newest.take()
        assert held is not None
        taken = held[1]
        assert taken - before <= MAX_SKIPPED + 1
    assert taken == 3 * MAX_SKIPPED - 1
    assert await newest.take() is None


def test_closed_watcher_opens_no_detector(jpegs: list[bytes]) -> None:
    """It would never be closed."""
    watcher = Watcher(image_options())
    watcher.close()
    with pytest.raises(NotReady):
        watcher.detect(jpegs[0], 0)


def test_detector_is_closed_at_once_when_the_client_leaves(
    jpegs: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the threads are busy with other streams; a detector takes 0.3 GB."""
    closed, close = [], Watcher.close
    monkeypatch.setattr(Watcher, "close", lambda watcher: closed.append(close(watcher)))

    async def receive_nothing() -> None:
        await asyncio.Event().wait()

    @in_a_loop
    async def check() -> None:
        busy = threading.Event()
        with ThreadPoolExecutor(1) as watching:
            service = SimpleNamespace(
                settings=read_settings(),
                watching=watching,
                live_pictures=Capacity("live streams of pictures", limit=1, retry_after_s=10),
            )
            stream: Any = _Connection(SimpleNamespace(receive=receive_nothing), service)
            frames = stream._images(jpegs[0], image_options())
            assert await anext(frames) == (range(1), {})
            watching.submit(busy.wait)
            try:
                async with asyncio.timeout(20):
                    await frames.aclose()
                assert len(closed) == 1
            finally:
                busy.set()

    check()
