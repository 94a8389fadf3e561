"""A server under changing load of streams, images, lifts and small videos: memory must not grow.

    .venv/bin/python benchmarks/soak.py [MINUTES]

Exits with 1 if the server's memory grows after warming up, or on an unexpected status. A fixed
number of clients runs on this machine.
"""

import io
import json
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from model import H36M17, open_video
from service.bench.networks import walk
from service.bench.servers import Server, service_process

CLIP = Path(__file__).parent.parent / "tests" / "clips" / "one_person.mp4"
ABOUT = {"skeleton": H36M17.name, "image_size": [1000, 1000], "fps": 30}
SAMPLES = 40
WARM = 1 / 3
"""The share of the time for warming up: models, workers, pools and caches."""
NOISE = 1.05
"""Largest ratio of the medians of the second and the first half after that."""
EXPECTED = {"200", "202", "204", "404", "409", "429", "503", "1000", "1013", "left"}
"""Statuses, close codes, and "left" for clients that disconnect on purpose."""
PAUSE_S, SETTLE_S = 0.05, 2.0


def main(minutes: float) -> int:
    settings = {"live_at_once": 5, "live_load": 1e6, "max_streams": 16, "stream_idle_s": 5}
    with service_process(settings) as server:
        clients = _Clients(server.url)
        with clients.running():
            memory_mb = list(_samples(server, clients, minutes * 60))
    warm_mb, growth = _growth(memory_mb)
    print(f"\noutcomes: {dict(clients.outcomes)}")
    print(f"memory after warming up: {warm_mb:.0f} MB, at the end {growth:.3f} times that")
    unexpected = set(clients.outcomes) - EXPECTED
    if unexpected:
        print(f"unexpected outcomes: {', '.join(sorted(unexpected))}")
    return int(growth > NOISE or bool(unexpected))


class _Clients:
    """One thread per client; `outcomes` counts statuses and close codes."""

    def __init__(self, url: str):
        self.outcomes: Counter[str] = Counter()
        self._url = url
        self._changed = threading.Condition()  # guards the fields below
        self._active = 0
        self._paused = False
        self._over = False

    @contextmanager
    def running(self) -> Iterator[None]:
        kinds = [_lift, _http_stream, _video, _images, *[_websocket] * 3]
        with ThreadPoolExecutor(len(kinds)) as threads:
            working = [threads.submit(self._work, *kind) for kind in enumerate(kinds)]
            try:
                yield
            finally:
                with self._changed:
                    self._over = True
                    self._changed.notify_all()
        for future in working:
            future.result()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No clients are connected, and the server has had time to free their memory."""
        with self._changed:
            self._paused = True
            self._changed.wait_for(lambda: not self._active)
        time.sleep(SETTLE_S)
        yield
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def _work(self, seed: int, visit: Callable[[str, random.Random], str]) -> None:
        chance = random.Random(seed)
        while self._start():
            outcome = "failed"
            try:
                outcome = visit(self._url, chance)
            finally:
                with self._changed:
                    self.outcomes[outcome] += 1
                    self._active -= 1
                    self._changed.notify_all()

    def _start(self) -> bool:
        """Wait until clients may connect; returns False at the end of the run."""
        time.sleep(PAUSE_S)
        with self._changed:
            self._changed.wait_for(lambda: self._over or not self._paused)
            self._active += not self._over
            return not self._over


def _samples(server: Server, clients: _Clients, seconds: float) -> Iterator[float]:
    """Memory (MB) of the server process without clients, also printed."""
    begin_s = time.monotonic()
    for sample in range(1, SAMPLES + 1):
        time.sleep(max(0.0, begin_s + seconds * sample / SAMPLES - time.monotonic()))
        with clients.paused():
            memory_mb = server.process.memory_info().rss / 1e6
        if sample % (SAMPLES // 20) == 0:
            minute = (time.monotonic() - begin_s) / 60
            print(
                f"{minute:5.1f} min {memory_mb:6.0f} MB {'#' * round(memory_mb / 10)}", flush=True
            )
        yield memory_mb


def _growth(memory_mb: list[float]) -> tuple[float, float]:
    """MB after warming up, and the ratio of the end to that."""
    warm = memory_mb[round(len(memory_mb) * WARM) :]
    middle = len(warm) // 2
    first, last = statistics.median(warm[:middle]), statistics.median(warm[middle:])
    return first, last / first


def _lift(url: str, chance: random.Random) -> str:
    return _post(f"{url}/lift", json={**ABOUT, "keypoints": _frames(chance.randint(1, 400))})


def _http_stream(url: str, chance: random.Random) -> str:
    """A stream over HTTP; half of them are not ended and expire."""
    name = f"soak-{chance.getrandbits(64):x}"
    outcome = "left"
    for _ in range(chance.randint(1, 10)):
        chunk = _frames(chance.randint(1, 5))
        outcome = _post(f"{url}/lift", json={**ABOUT, "stream": name, "keypoints": chunk})
    if chance.random() < 0.5:
        outcome = str(httpx.delete(f"{url}/streams/{name}").status_code)
    return outcome


def _video(url: str, chance: random.Random) -> str:
    """A small video; one in four is cancelled. The job is deleted."""
    wait = "respond-async" if chance.random() < 0.25 else "wait=60"
    with CLIP.open("rb") as file:
        response = httpx.post(
            f"{url}/video", files={"file": file}, headers={"prefer": wait}, timeout=120
        )
    for job in httpx.get(f"{url}/jobs", timeout=60).json()["jobs"]:
        httpx.delete(f"{url}/jobs/{job['id']}", timeout=60)
    return str(response.status_code)


def _websocket(url: str, chance: random.Random) -> str:
    """Up to three people for a few seconds."""
    people, frames = chance.randint(1, 3), _frames(chance.randint(1, 90))
    messages = [json.dumps(ABOUT)]
    for number, joints in enumerate(frames):
        seen = [{"id": id, "keypoints": joints} for id in range(people)]
        messages.append(json.dumps({"frame": number, "people": seen}))
    return _stream(url, messages, chance)


def _images(url: str, chance: random.Random) -> str:
    """The beginning of a video, as JPEG images."""
    return _stream(url, [json.dumps({"fps": 30}), *_jpegs()[: chance.randint(1, 30)]], chance)


def _stream(url: str, messages: Sequence[str | bytes], chance: random.Random) -> str:
    """One client in four disconnects without `end`."""
    leaves = chance.random() < 0.25
    try:
        # no pings: a server that is behind reads them too late, after the frames before them
        with connect(
            f"ws{url.removeprefix('http')}/stream", open_timeout=60, ping_interval=None
        ) as client:
            for message in messages:
                client.send(message)
            if leaves:
                return "left"
            client.send('{"end": true}')
            for _ in client:
                pass
        return "1000"
    except ConnectionClosed as closed:
        return str(closed.rcvd.code if closed.rcvd else closed)


@cache
def _jpegs() -> list[bytes]:
    with open_video(CLIP) as video:
        return [_jpeg(frame.image) for frame in video.frames()]


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG")
    return buffer.getvalue()


def _frames(count: int) -> list[Any]:
    frames: list[Any] = walk(count).xy.tolist()
    return frames


def _post(url: str, **arguments: Any) -> str:
    return str(httpx.post(url, timeout=120, **arguments).status_code)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 20))
