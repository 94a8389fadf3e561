"""Limits, cancellation and fairness of requests, and that /lift repeats the poses of /video."""

import asyncio
import gc
import io
import socket
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from paths import ONE as CLIP
from servers import in_a_loop
from service.admission.cancellation import not_ready_on_cancel
from service.admission.capacity import Capacity
from service.app import create_app
from service.cli.serve import _listen
from service.errors import NotReady, Overloaded
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


def test_accepted_connections_send_small_messages_at_once() -> None:
    """asyncio leaves Nagle's algorithm on if a socket does not name its protocol; a live message
    then waits for the client's delayed ACK."""
    with _listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@in_a_loop
async def test_capacity_rejects_beyond_its_limit_unless_bypassed() -> None:
    capacity = Capacity("lifts", limit=1, retry_after_s=2)
    with capacity.enter():
        with pytest.raises(Overloaded, match="1 lifts are under way") as caught, capacity.enter():
            pass
        assert caught.value.retry_after_s == 2
        with capacity.enter(bypass_limit=True):
            assert capacity.running == 2
    assert capacity.running == 0
    with capacity.enter():
        assert capacity.running == 1


async def run_inside(block: AbstractContextManager[None]) -> asyncio.Task[None]:
    async def work() -> None:
        with block:
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    return task


@in_a_loop
async def test_request_cancelled_by_the_server_gets_not_ready() -> None:
    task = await run_inside(not_ready_on_cancel())
    task.cancel()
    with pytest.raises(NotReady, match="the service is stopping"):
        await task


@in_a_loop
async def test_stopped_capacity_ends_its_tasks_and_admits_no_more() -> None:
    capacity = Capacity("lifts", limit=2, retry_after_s=2)
    task = await run_inside(capacity.enter())
    capacity.stop()
    with pytest.raises(NotReady, match="the service is stopping"):
        await task
    with pytest.raises(NotReady), capacity.enter():
        pass
    assert capacity.running == 0


@in_a_loop
async def test_cancelled_task_frees_its_place_in_a_capacity() -> None:
    capacity = Capacity("lifts", limit=1, retry_after_s=2)
    task = await run_inside(capacity.enter())
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert capacity.running == 0


def test_response_dumped_in_pieces_equals_the_whole() -> None:
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


def test_npz_is_read_outside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = []

    def read(*args: Any) -> Any:
        readers.append(threading.current_thread())
        return read_npz(*args)

    monkeypatch.setattr(npz, "read_npz", read)
    file = io.BytesIO()
    keypoints = np.full((3, 17, 2), 0.5)
    np.savez(file, keypoints=keypoints, skeleton="h36m17", image_size=[9, 9], fps=30)

    async def serve() -> httpx.Response:
        app = create_app(read_settings(jobs_folder=tmp_path))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://here") as client,
        ):
            headers = {"content-type": npz.MEDIA_TYPE}
            return await client.post("/lift", content=file.getvalue(), headers=headers)

    thresholds = gc.get_threshold()
    try:
        assert asyncio.run(serve()).status_code == 200
    finally:
        gc.set_threshold(*thresholds)
    assert readers and threading.main_thread() not in readers
