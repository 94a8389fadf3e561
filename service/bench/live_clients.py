"""Live streams as cameras send them, in a process of their own: 30 frames a second each.

    python -m service.bench.live_clients URL STREAMS SECONDS ARRIVE_S

One comes every ARRIVE_S, and all stay until all were there for SECONDS. Prints what they saw in
that time, as one line of JSON.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from model import H36M17
from service.bench.trial import walk

FPS = 30
PATIENCE_S = 10.0


@dataclass
class Seen:
    """Over all streams: seconds from each frame's sending to its first answer; how many frames
    were sent; streams that the server refused or ended, by code."""

    first_s: list[float] = field(default_factory=list)
    sent: int = 0
    refused: dict[str, int] = field(default_factory=dict)


async def run(url: str, streams: int, seconds: float, arrive_s: float) -> Seen:
    """All streams, their frames spread evenly over a frame's time."""
    seen = Seen()
    all_here_s = time.monotonic() + (streams - 1) * arrive_s
    visits = (
        _Visit(all_here_s, (streams - 1 - n) * arrive_s, seconds, n / streams / FPS)
        for n in range(streams)
    )
    await asyncio.gather(*(_stream(url, visit, seen) for visit in visits))
    return seen


@dataclass(frozen=True)
class _Visit:
    """Of one stream: from `early_s` before `all_here_s`, a point in time, to `seconds` after it,
    its frames a little later than others'."""

    all_here_s: float
    early_s: float
    seconds: float
    later_s: float

    @property
    def frames(self) -> int:
        return round((self.early_s + self.seconds) * FPS)


async def _stream(url: str, visit: _Visit, seen: Seen) -> None:
    messages = _messages(visit.frames)
    await asyncio.sleep(visit.all_here_s - visit.early_s - time.monotonic())
    try:
        async with connect(f"ws{url.removeprefix('http')}/stream", compression=None) as client:
            opening = {"skeleton": H36M17.name, "image_size": [1000, 1000], "fps": FPS}
            await client.send(json.dumps(opening))
            if "error" in json.loads(await client.recv()):
                await client.wait_closed()
                raise client.protocol.close_exc
            await asyncio.sleep(visit.later_s)
            sent_s: dict[int, float] = {}
            patience_s = visit.frames / FPS + PATIENCE_S
            async with asyncio.timeout(patience_s), asyncio.TaskGroup() as tasks:
                tasks.create_task(_send(client, messages, visit, sent_s, seen))
                tasks.create_task(_receive(client, sent_s, seen))
    except* (ConnectionClosed, OSError, TimeoutError) as group:
        for error in group.exceptions:
            name = _reason(error)
            seen.refused[name] = seen.refused.get(name, 0) + 1


def _messages(frames: int) -> list[str]:
    xy = walk(frames).xy.tolist()
    people = ([{"id": 1, "keypoints": frame}] for frame in xy)
    return [json.dumps({"frame": n, "people": one}) for n, one in enumerate(people)]


async def _send(
    client: ClientConnection,
    messages: list[str],
    visit: _Visit,
    sent_s: dict[int, float],
    seen: Seen,
) -> None:
    """At the frame rate, whatever the server does: a camera does not wait."""
    start_s = time.monotonic()
    for number, message in enumerate(messages):
        due_s = start_s + number / FPS
        await asyncio.sleep(due_s - time.monotonic())
        if due_s >= visit.all_here_s:
            sent_s[number] = due_s
            seen.sent += 1
        await client.send(message)
    await client.send('{"end": true}')


async def _receive(client: ClientConnection, sent_s: dict[int, float], seen: Seen) -> None:
    async for text in client:
        answer = json.loads(text)
        if since_s := sent_s.pop(answer.get("frame"), None):
            seen.first_s.append(time.monotonic() - since_s)


def _reason(error: BaseException) -> str:
    if isinstance(error, ConnectionClosed) and error.rcvd:
        return f"{error.rcvd.code} {error.rcvd.reason}".strip()
    return type(error).__name__


if __name__ == "__main__":
    url, streams, seconds, arrive_s = sys.argv[1:]
    seen = asyncio.run(run(url, int(streams), float(seconds), float(arrive_s)))
    print(json.dumps(asdict(seen)))
