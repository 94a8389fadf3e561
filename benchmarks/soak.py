"""Streams, pictures, lifts and small videos that come and go; does the server's memory stay flat?

    .venv/bin/python benchmarks/soak.py [MINUTES]

Ends with 1 if the server's memory grows beyond noise once it has warmed up, or if it answers what
it should not. All traffic stays on this machine, and comes from a fixed number of clients.
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
from service.bench.served import Served, served
from service.bench.trial import walk

CLIP = Path(__file__).parent.parent / "tests" / "clips" / "one_person.mp4"
ABOUT = {"skeleton": H36M17.name, "image_size": [1000, 1000], "fps": 30}
SAMPLES = 40
WARM = 1 / 3
"""The share of the time in which models, workers, pools and caches fill."""
NOISE = 1.05
"""After that, the median of the last half over that of the first may be so much."""
WELCOME = {"200", "202", "204", "404", "409", "429", "503", "1000", "1013", "left"}
"""Statuses, close codes, and clients who left on purpose."""
PAUSE_S, SETTLE_S = 0.05, 2.0


def main(minutes: float) -> int:
    settings = {"live_at_once": 5, "live_load": 1e6, "max_streams": 16, "stream_idle_s": 5}
    with served(settings) as server:
        clients = _Clients(server.url)
        with clients.coming_and_going():
            memory_mb = list(_watched(server, clients, minutes * 60))
    held, grown = _grown(memory_mb)
    print(f"\nanswers: {dict(clients.answers)}")
    print(f"memory after warming up: {held:.0f} MB, at the end {grown:.3f} times that")
    unwelcome = set(clients.answers) - WELCOME
    if unwelcome:
        print(f"unwelcome answers: {', '.join(sorted(unwelcome))}")
    return int(grown > NOISE or bool(unwelcome))


class _Clients:
    """One thread for each kind of client; `answers` says how often they got which."""

    def __init__(self, url: str):
        self.answers: Counter[str] = Counter()
        self._url = url
        self._changed = threading.Condition()  # of all below
        self._visiting = 0
        self._away = False
        self._over = False

    @contextmanager
    def coming_and_going(self) -> Iterator[None]:
        kinds = [_lift, _http_stream, _video, _pictures, *[_websocket] * 3]
        with ThreadPoolExecutor(len(kinds)) as threads:
            working = [threads.submit(self._work, *kind) for kind in enumerate(kinds)]
            try:
                yield
            finally:
                with self._changed:
                    self._over = True
                    self._changed.notify_all()
        for one in working:
            one.result()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nobody comes, and the server had time to let go of those who were there."""
        with self._changed:
            self._away = True
            self._changed.wait_for(lambda: not self._visiting)
        time.sleep(SETTLE_S)
        yield
        with self._changed:
            self._away = False
            self._changed.notify_all()

    def _work(self, seed: int, visit: Callable[[str, random.Random], str]) -> None:
        chance = random.Random(seed)
        while self._may_come():
            answer = "failed"
            try:
                answer = visit(self._url, chance)
            finally:
                with self._changed:
                    self.answers[answer] += 1
                    self._visiting -= 1
                    self._changed.notify_all()

    def _may_come(self) -> bool:
        time.sleep(PAUSE_S)
        with self._changed:
            self._changed.wait_for(lambda: self._over or not self._away)
            self._visiting += not self._over
            return not self._over


def _watched(server: Served, clients: _Clients, seconds: float) -> Iterator[float]:
    """MB of the server's own process while nobody is there, sampled and drawn as it goes."""
    begin_s = time.monotonic()
    for sample in range(1, SAMPLES + 1):
        time.sleep(max(0.0, begin_s + seconds * sample / SAMPLES - time.monotonic()))
        with clients.away():
            memory_mb = server.process.memory_info().rss / 1e6
        if sample % (SAMPLES // 20) == 0:
            minute = (time.monotonic() - begin_s) / 60
            print(
                f"{minute:5.1f} min {memory_mb:6.0f} MB {'#' * round(memory_mb / 10)}", flush=True
            )
        yield memory_mb


def _grown(memory_mb: list[float]) -> tuple[float, float]:
    """MB once warm, and how many times that at the end."""
    warm = memory_mb[round(len(memory_mb) * WARM) :]
    middle = len(warm) // 2
    first, last = statistics.median(warm[:middle]), statistics.median(warm[middle:])
    return first, last / first


def _lift(url: str, chance: random.Random) -> str:
    return _post(f"{url}/lift", json={**ABOUT, "keypoints": _frames(chance.randint(1, 400))})


def _http_stream(url: str, chance: random.Random) -> str:
    """A stream over plain HTTP; half of them are never ended, and expire."""
    name = f"soak-{chance.getrandbits(64):x}"
    answer = "left"
    for _ in range(chance.randint(1, 10)):
        chunk = _frames(chance.randint(1, 5))
        answer = _post(f"{url}/lift", json={**ABOUT, "stream": name, "keypoints": chunk})
    if chance.random() < 0.5:
        answer = str(httpx.delete(f"{url}/streams/{name}").status_code)
    return answer


def _video(url: str, chance: random.Random) -> str:
    """A small video; one in four is not waited for but cancelled. Its job is removed."""
    wait = "respond-async" if chance.random() < 0.25 else "wait=60"
    with CLIP.open("rb") as file:
        answer = httpx.post(
            f"{url}/video", files={"file": file}, headers={"prefer": wait}, timeout=120
        )
    for job in httpx.get(f"{url}/jobs", timeout=60).json()["jobs"]:
        httpx.delete(f"{url}/jobs/{job['id']}", timeout=60)
    return str(answer.status_code)


def _websocket(url: str, chance: random.Random) -> str:
    """Up to three people for a few seconds."""
    people, frames = chance.randint(1, 3), _frames(chance.randint(1, 90))
    messages = [json.dumps(ABOUT)]
    for number, joints in enumerate(frames):
        seen = [{"id": id, "keypoints": joints} for id in range(people)]
        messages.append(json.dumps({"frame": number, "people": seen}))
    return _stream(url, messages, chance)


def _pictures(url: str, chance: random.Random) -> str:
    """The beginning of a clip, as pictures."""
    return _stream(url, [json.dumps({"fps": 30}), *_jpegs()[: chance.randint(1, 30)]], chance)


def _stream(url: str, messages: Sequence[str | bytes], chance: random.Random) -> str:
    """One client in four leaves without a word."""
    leaves = chance.random() < 0.25
    try:
        # a client of this kind takes a server that is behind with its frames for dead: its pings
        # lie unread behind them
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


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    held = io.BytesIO()
    Image.fromarray(picture).save(held, "JPEG")
    return held.getvalue()


def _frames(count: int) -> list[Any]:
    frames: list[Any] = walk(count).xy.tolist()
    return frames


def _post(url: str, **given: Any) -> str:
    return str(httpx.post(url, timeout=120, **given).status_code)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 20))
