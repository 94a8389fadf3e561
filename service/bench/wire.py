"""The lines about the wire: CPU time of a server process besides lifting.

The model is tiny, and the CPU time of lifting is subtracted.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect

from model import H36M17
from service.bench.networks import Trial, walk
from service.bench.report import Line
from service.bench.servers import Server, server_process, service_process
from service.bench.timing import interleave

LIVE_FRAMES = 1000
"""Frames a round: the CPU time of another process has a resolution of 0.01 s."""
BODY_FRAMES = 1000
BODIES = 10


def websocket(trial: Trial) -> Iterator[Line]:
    """A frame through WS /stream, and through POST /lift with a stream."""
    keypoints = walk(LIVE_FRAMES).xy.tolist()
    with _tiny(trial.tiny()) as server, httpx.Client(base_url=server.url) as client:
        timings = interleave(
            {
                "websocket": lambda: _over_websocket(server.url, keypoints),
                "http": lambda: _over_http(client, keypoints),
            },
            trial.rounds,
            server.overhead_cpu_s,
        )
    websocket_s, http_s = (timings.median_s(way) for way in ("websocket", "http"))
    yield Line(
        "a WebSocket frame, server CPU besides lifting, of an HTTP frame's",
        timings.cost("websocket", of="http"),
        1 / 3,
        at_most=True,
        detail=f"{websocket_s / LIVE_FRAMES * 1e3:.2f} ms, {http_s / LIVE_FRAMES * 1e3:.2f}",
    )


def json_body(trial: Trial) -> Iterator[Line]:
    """BODY_FRAMES through POST /lift, and through a server that leaves JSON to FastAPI."""
    body = json.dumps({**_options(), "keypoints": walk(BODY_FRAMES).rows.tolist()}).encode()
    with ExitStack() as stack:
        ours = stack.enter_context(_tiny(trial.tiny()))
        peer = stack.enter_context(server_process(["service.bench.servers"]))
        client = stack.enter_context(httpx.Client(timeout=60))
        ways = {
            "ours": _posts(client, f"{ours.url}/lift", body),
            "dict in, dict out": _posts(client, f"{peer.url}/dicts", body),
            "the same, its type declared": _posts(client, f"{peer.url}/declared", body),
            "typed lists in and out": _posts(client, f"{peer.url}/typed", body),
        }
        # one of the two servers is always idle
        timings = interleave(ways, trial.rounds, lambda: ours.overhead_cpu_s() + peer.cpu_s())
    ours_s = timings.median_s("ours")
    for way, most in (
        ("dict in, dict out", 0.25),
        ("the same, its type declared", None),
        ("typed lists in and out", None),
    ):
        yield Line(
            f"{BODY_FRAMES} frames as JSON, server CPU besides lifting, of {way}",
            timings.cost("ours", of=way),
            most,
            at_most=True,
            detail=f"{ours_s / BODIES * 1e3:.1f} ms, {timings.median_s(way) / BODIES * 1e3:.1f}",
        )


def _tiny(model: Path) -> AbstractContextManager[Server]:
    # no admission control: the clients wait for each response
    return service_process({"weights": model.parent, "model": model.stem, "live_load": 1e6})


def _options() -> dict[str, Any]:
    return {"skeleton": H36M17.name, "image_size": [1000, 1000], "fps": 50}


def _posts(client: httpx.Client, url: str, body: bytes) -> Callable[[], None]:
    def post() -> None:
        for _ in range(BODIES):
            headers = {"content-type": "application/json"}
            client.post(url, content=body, headers=headers).raise_for_status()

    return post


def _over_http(client: httpx.Client, keypoints: list[Any]) -> None:
    stream = f"bench-{secrets.token_hex(8)}"
    for frame in keypoints:
        body = {**_options(), "stream": stream, "keypoints": [frame]}
        client.post("/lift", json=body).raise_for_status()
    client.delete(f"/streams/{stream}").raise_for_status()


def _over_websocket(url: str, keypoints: list[Any]) -> None:
    """Final poses only, as over HTTP, each awaited before the next frame is sent."""
    with connect(f"ws{url.removeprefix('http')}/stream", compression=None) as client:
        client.send(json.dumps({**_options(), "lookahead": None}))
        client.recv()
        for number, frame in enumerate(keypoints):
            people = [{"id": 1, "keypoints": frame}]
            client.send(json.dumps({"frame": number, "people": people}))
            client.recv()
        client.send('{"end": true}')
        for _ in client:
            pass
