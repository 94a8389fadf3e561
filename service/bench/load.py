"""`poselift bench --load`: how many live streams of 30 frames a second this machine holds.

The clients run in their own process, `python -m service.bench.load URL STREAMS SECONDS ARRIVE_S`: a
stream starts every ARRIVE_S, and all go on until all have run together for SECONDS. Prints the
results of that time as one line of JSON.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from model import H36M17, PoseError, model_named
from service.bench.networks import Trial, walk
from service.bench.servers import service_process
from service.settings import read_settings

FPS = 30
SECONDS = 6
ARRIVE_S = 1.5
"""Between the starts of streams that start one by one."""
MAX_STREAMS = 256
GRACE_S = 10.0
"""A stream that ends this much later than its frames is ended by the client."""


@dataclass(frozen=True)
class Step:
    """`streams` at once, for SECONDS. p95_s is of the time from a frame to its first message,
    infinite if more than 1 in 20 frames got none."""

    streams: int
    p95_s: float
    sent: int
    answered: int
    rejected: int

    @property
    def held(self) -> bool:
        return self.p95_s < 1 / FPS and not self.rejected


def load(trial: Trial) -> Iterator[str]:
    """Markdown lines. Server and clients share the machine. Without admission control, the number
    of streams is doubled until it is too many, then bisected. Then a server with default settings
    gets twice that number: all at once, and one by one."""
    settings = read_settings()
    shipped = model_named(settings.default_model, settings.weights)
    models = [Path(shutil.copy(shipped, trial.folder)), *(n.ours for n in trial.networks())]
    yield "| model | streams | first answer, p95 ms | frames sent / answered | refused |"
    yield "|---|---|---|---|---|"
    for path in models:
        most = 0
        model = {"weights": path.parent, "model": path.stem}
        with service_process(model | {"live_at_once": MAX_STREAMS, "live_load": 1e6}) as server:
            for step in _search(server.url):
                yield _row(path.stem, step)
                most = max(most, step.streams) if step.held else most
        with service_process(model) as server:
            for how, arrive_s in (("all at once", 0.0), ("one by one", ARRIVE_S)):
                step = run(server.url, 2 * max(1, most), arrive_s)
                yield _row(f"{path.stem}, {how}, with refusal", step)


def _row(name: str, step: Step) -> str:
    answered = f"{step.sent} / {step.answered}"
    return f"| {name} | {step.streams} | {step.p95_s * 1e3:.1f} | {answered} | {step.rejected} |"


def _search(url: str) -> Iterator[Step]:
    """Steps up to the first that does not hold, then between the two, to about a tenth."""
    held, lost, streams = 0, MAX_STREAMS + 1, 1
    run(url, 1)
    while lost - held > max(1, held // 8):
        step = run(url, streams)
        yield step
        if step.held:
            held = streams
        else:
            lost = streams
        streams = min(2 * streams, MAX_STREAMS) if lost > MAX_STREAMS else (held + lost) // 2


def run(url: str, streams: int, arrive_s: float = 0) -> Step:
    """One step; raises PoseError if the clients fail."""
    arguments = map(str, (url, streams, SECONDS, arrive_s))
    command = [sys.executable, "-m", "service.bench.load", *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise PoseError(f"the clients failed: {process.stderr.strip()}")
    totals = _Totals(**json.loads(process.stdout))
    delays_s = totals.delays_s + [np.inf] * (totals.sent - len(totals.delays_s))
    p95_s = float(np.quantile(delays_s, 0.95, method="higher")) if totals.sent else 0
    return Step(streams, p95_s, totals.sent, len(totals.delays_s), sum(totals.rejected.values()))


@dataclass
class _Totals:
    """Over all streams: seconds from sending each frame to its first message; frames sent; streams
    that the server rejected or ended, by reason."""

    delays_s: list[float] = field(default_factory=list)
    sent: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Stream:
    """A client from `early_s` before `all_started_s`, a point in time, to `seconds` after it; its
    frames are sent `offset_s` after the ticks that all streams share."""

    url: str
    all_started_s: float
    early_s: float
    seconds: float
    offset_s: float
    totals: _Totals
    sent_s: dict[int, float] = field(default_factory=dict)

    async def run(self) -> None:
        frames = round((self.early_s + self.seconds) * FPS)
        people = ([{"id": 1, "keypoints": frame}] for frame in walk(frames).xy.tolist())
        messages = [json.dumps({"frame": n, "people": p}) for n, p in enumerate(people)]
        await asyncio.sleep(self.all_started_s - self.early_s - time.monotonic())
        try:
            async with connect(
                f"ws{self.url.removeprefix('http')}/stream", compression=None
            ) as client:
                opening = {"skeleton": H36M17.name, "image_size": [1000, 1000], "fps": FPS}
                await client.send(json.dumps(opening))
                if "error" in json.loads(await client.recv()):
                    await client.wait_closed()
                    raise client.protocol.close_exc
                await asyncio.sleep(self.offset_s)
                async with asyncio.timeout(frames / FPS + GRACE_S), asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._send(client, messages))
                    tasks.create_task(self._receive(client))
        except* (ConnectionClosed, OSError, TimeoutError) as group:
            self.totals.rejected.update(map(_reason, group.exceptions))

    async def _send(self, client: ClientConnection, messages: list[str]) -> None:
        """At the frame rate, whatever the server does: a camera does not wait."""
        start_s = time.monotonic()
        for number, message in enumerate(messages):
            due_s = start_s + number / FPS
            await asyncio.sleep(due_s - time.monotonic())
            if due_s >= self.all_started_s:
                self.sent_s[number] = due_s
                self.totals.sent += 1
            await client.send(message)
        await client.send('{"end": true}')

    async def _receive(self, client: ClientConnection) -> None:
        async for text in client:
            if sent_s := self.sent_s.pop(json.loads(text).get("frame"), None):
                self.totals.delays_s.append(time.monotonic() - sent_s)


def _reason(error: BaseException) -> str:
    if isinstance(error, ConnectionClosed) and error.rcvd:
        return f"{error.rcvd.code} {error.rcvd.reason}".strip()
    return type(error).__name__


async def _run_streams(url: str, streams: int, seconds: float, arrive_s: float) -> _Totals:
    """Run all streams, their frames spread evenly over one frame's time."""
    totals = _Totals()
    all_started_s = time.monotonic() + (streams - 1) * arrive_s
    clients = (
        _Stream(
            url, all_started_s, (streams - 1 - n) * arrive_s, seconds, n / streams / FPS, totals
        )
        for n in range(streams)
    )
    await asyncio.gather(*(client.run() for client in clients))
    return totals


if __name__ == "__main__":
    url, streams, seconds, arrive_s = sys.argv[1:]
    totals = asyncio.run(_run_streams(url, int(streams), float(seconds), float(arrive_s)))
    print(json.dumps(vars(totals)))
