"""One corridor behind all doors: what /video saw gives the same poses when sent to /lift."""

import asyncio
import gc
import io
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from paths import ONE as CLIP
from servers import in_a_loop
from service.admission.capacity import Door, until_stopped
from service.app import create_app
from service.cli.serve import _listen
from service.errors import NotReady
from service.routes.lift import PIECE_FRAMES, _dump_in_pieces
from service.settings import read_settings
from service.wire import npz
from service.wire.documents import dump
from service.wire.npz import read_npz


@pytest.mark.parametrize("readout", ["centre", "dense"])
def test_keypoints_of_a_video_lift_to_its_poses(server: httpx.Client, readout: str) -> None:
    options = {"smoothing": "none", "readout": readout}
    video = server.post("/video", params=options, files={"file": CLIP.read_bytes()}).json()
    (person,) = video["people"]
    size = [video["video"]["width"], video["video"]["height"]]
    body = {
        "keypoints": person["keypoints"],
        "skeleton": "h36m17",
        "image_size": size,
        "fps": video["video"]["fps"],
        "readout": readout,
    }
    lifted = server.post("/lift", json=body).json()
    assert lifted["keypoints"] == person["keypoints"]
    assert lifted["poses"] == person["poses"]


def test_small_answers_are_not_held_back() -> None:
    """asyncio leaves Nagle's algorithm on where a socket does not name its protocol, and an answer
    of a live stream then waits for the client's delayed ACK."""
    with _listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    "around", [Door("lifts", places=1, retry_after_s=2).enter, until_stopped], ids=["door", "alone"]
)
def test_who_is_cut_off_when_the_server_stops_is_told(
    around: Callable[[], AbstractContextManager[None]],
) -> None:
    async def request() -> None:
        with around():
            await asyncio.sleep(60)

    @in_a_loop
    async def check() -> None:
        working = asyncio.create_task(request())
        await asyncio.sleep(0)
        working.cancel()
        with pytest.raises(NotReady, match="the service is stopping"):
            await working

    check()


def test_a_reply_in_pieces_is_the_reply() -> None:
    rng = np.random.default_rng(0)
    count = 2 * PIECE_FRAMES + 1
    poses = rng.normal(size=(count, 17, 3)).astype(np.float32)
    with_null = [None if frame == 5 else row for frame, row in enumerate(poses)]
    document = {
        "model": {"name": 'a "name"', "version": None},
        "frames": np.arange(count),
        "final": np.arange(count) % 2 == 0,
        "poses": poses,
        "keypoints": with_null,
        "few": poses[:3],
        "warnings": [],
    }
    assert _dump_in_pieces(document) == dump(document)


def test_what_unpacks_to_much_is_not_read_where_everybody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = []

    def read(*args: Any) -> Any:
        readers.append(threading.current_thread())
        return read_npz(*args)

    monkeypatch.setattr(npz, "read_npz", read)
    held = io.BytesIO()
    keypoints = np.full((3, 17, 2), 0.5)
    np.savez(held, keypoints=keypoints, skeleton="h36m17", image_size=[9, 9], fps=30)

    async def serve() -> httpx.Response:
        app = create_app(read_settings(jobs_folder=tmp_path))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://here") as client,
        ):
            headers = {"content-type": npz.MEDIA_TYPE}
            return await client.post("/lift", content=held.getvalue(), headers=headers)

    thresholds = gc.get_threshold()
    try:
        assert asyncio.run(serve()).status_code == 200
    finally:
        gc.set_threshold(*thresholds)
    assert readers and threading.main_thread() not in readers
