"""Live streams as cameras send them, in a process of their own: 30 frames a second each.

    python -m service.bench.live_clients URL STREAMS SECONDS

Prints what they saw, as one line of JSON.
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
    were sent and how many answered finally; streams that the server refused or ended, by code."""

    first_s: list[float] = field(default_factory=list)
    sent: int = 0
    final: int = 0
    refused: dict[str, int] = field(default_factory=dict)


async def run(url: str, streams: int, seconds: float) -> Seen:
    """All streams at once, their frames spread evenly over a frame's time."""
    seen = Seen()
    frames = round(seconds * FPS)
    delays = (n / streams / FPS for n in range(streams))
    await asyncio.gather(*(_stream(url, frames, delay, seen) for delay in delays))
    return seen


async def _stream(url: str, frames: int, delay_s: float, seen: Seen) -> None:
    messages = _messages(frames)
    try:
        async with connect(f"ws{url.removeprefix('http')}/stream", compression=None) as client:
            opening = {"skeleton": H36M17.name, "image_size": [1000, 1000], "fps": FPS}
            await client.send(json.dumps(opening))
            if "error" in json.loads(await client.recv()):
                await client.wait_closed()
                raise client.protocol.close_exc
            await asyncio.sleep(delay_s)
            sent_s: dict[int, float] = {}
            async with asyncio.timeout(frames / FPS + PATIENCE_S), asyncio.TaskGroup() as tasks:
                tasks.create_task(_send(client, messages, sent_s, seen))
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
    client: ClientConnection, messages: list[str], sent_s: dict[int, float], seen: Seen
) -> None:
    """At the frame rate, whatever the server does: a camera does not wait."""
    start_s = time.monotonic()
    for number, message in enumerate(messages):
        due_s = start_s + number / FPS
        await asyncio.sleep(due_s - time.monotonic())
        sent_s[number] = due_s
        await client.send(message)
        seen.sent += 1
    await client.send('{"end": true}')


async def _receive(client: ClientConnection, sent_s: dict[int, float], seen: Seen) -> None:
    async for text in client:
        answer = json.loads(text)
        if "frame" in answer:
            seen.final += answer["final"]
            if since_s := sent_s.pop(answer["frame"], None):
                seen.first_s.append(time.monotonic() - since_s)


def _reason(error: BaseException) -> str:
    if isinstance(error, ConnectionClosed) and error.rcvd:
        return f"{error.rcvd.code} {error.rcvd.reason}".strip()
    return type(error).__name__


if __name__ == "__main__":
    url, streams, seconds = sys.argv[1:]
    print(json.dumps(asdict(asyncio.run(run(url, int(streams), float(seconds))))))
