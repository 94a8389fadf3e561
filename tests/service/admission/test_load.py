"""Admission of live streams by load; admitted streams continue."""

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import product
from types import SimpleNamespace

import httpx
import pytest
from websockets.sync.client import ClientConnection

from live_client import OPENING, Document, connected, opened, receive, rest, send
from servers import ServerStarter, until
from service.admission.load import LiveLoad
from service.errors import Overloaded
from synthetic import person

KEYPOINTS = person(1).xy.tolist()
BODY = {**OPENING, "keypoints": KEYPOINTS, "stream": "late"}


def frames(socket: ClientConnection) -> Iterator[None]:
    """A live stream: each step sends a frame and receives its provisional pose."""
    opened(socket)
    for number in range(100):
        send(socket, {"frame": number, "people": [{"id": 1, "keypoints": KEYPOINTS[0]}]})
        while (message := receive(socket))["final"]:
            pass
        assert message["frame"] == number
        yield


def over_websocket(server: httpx.Client) -> Document:
    """The first response to a new stream."""
    with connected(server) as socket:
        send(socket, OPENING)
        message = receive(socket)
        if "error" in message:
            assert rest(socket)[1:] == (1013, message["error"]["detail"])
            return message["error"]
    return {"status": 200}


def over_http(server: httpx.Client) -> Document:
    server.delete("/streams/late")
    response = server.post("/lift", json=BODY)
    if response.status_code == 503:
        assert response.headers["retry-after"] == "2"
        assert server.get("/streams").json() == {"streams": []}
    return {"status": response.status_code, **response.json()}


def test_new_streams_are_rejected_while_results_are_late(
    start_server: ServerStarter,
) -> None:
    with start_server(live_load=0.001, live_always=1) as server:
        with connected(server) as first:
            steps = frames(first)
            for begin in (over_websocket, over_http):
                response: Document = {"status": 200}
                while response["status"] == 200:  # records expire on a slow machine
                    next(steps)
                    response = begin(server)
                assert response["status"] == 503
                assert "of the time between frames" in response["detail"]
            next(steps)
        until(lambda: httpx.Response(over_http(server)["status"]), 200)


def begun(load: LiveLoad, fps: float) -> int:
    """How many streams are admitted before any result is measured."""
    for count in range(100):
        try:
            load.begin(count, fps)
        except Overloaded:
            return count
    raise AssertionError("no stream was rejected")


@pytest.mark.parametrize(
    ("alone_s", "fps", "expected"), [(0.01, 30, 6), (0.01, 60, 3), (0.03, 30, 2), (9, 30, 1)]
)
def test_streams_that_begin_together_are_counted(alone_s: float, fps: float, expected: int) -> None:
    """Each adds 1.5 times the time of a frame, shared by two calls. Two are always admitted if the
    machine can serve them, and one in any case."""
    load = LiveLoad(max_load=1.4, always=2, calls=2)
    load.alone_s = alone_s
    assert begun(load, fps) == expected


def test_ended_streams_do_not_count() -> None:
    load = LiveLoad(max_load=0.1, always=1, calls=1)
    load.alone_s = 1.0
    for stream in range(5):  # one after another, on a machine that is too slow for any
        load.begin(stream, 50)
        with load.measure(stream, 1, 50):
            pass
        load.end(stream)
    assert load.load() == 0


@pytest.mark.parametrize(
    ("fps", "max_load", "fits"),
    [(1, 0.31, True), (30, 0.35, False), (30, 0.4, True), (1000, 2, False)],
)
def test_load_of_a_new_stream_grows_with_its_frame_rate(
    monkeypatch: pytest.MonkeyPatch, fps: float, max_load: float, fits: bool
) -> None:
    """Beside five streams of 30 frames/s, whose frames take 10 ms each."""
    times = SimpleNamespace(monotonic=lambda: now_s)
    monkeypatch.setattr("service.admission.load.time", times)
    load = LiveLoad(max_load=max_load, always=1, calls=1)
    for frame, stream in product(range(60), range(5)):
        now_s = frame / 30
        with load.measure(stream, 1, 30):
            now_s += 0.01
    assert load.load() == pytest.approx(0.3)
    with nullcontext() if fits else pytest.raises(Overloaded):
        load.begin("another", fps)


def test_live_stream_bypasses_the_limit_of_lift_tasks(start_server: ServerStarter) -> None:
    """A live stream could not send a rejected frame again."""
    people = [{"id": id, "keypoints": KEYPOINTS[0]} for id in range(8)]
    with start_server(max_lift_tasks=2) as server, connected(server) as socket:
        opened(socket)
        for number in range(3):
            send(socket, {"frame": number, "people": people})
        send(socket, {"end": True})
        messages, code, _ = rest(socket)
    assert code == 1000
    assert [len(message["people"]) for message in messages] == [8] * 6
