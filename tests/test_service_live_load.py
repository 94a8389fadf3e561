"""Who may still begin a live stream, and that those under way go on."""

from collections.abc import Iterator

import httpx
import pytest
from conftest import ServerStarter, until
from live_client import OPENING, Document, connected, opened, receive, rest, send
from made_up import person
from websockets.sync.client import ClientConnection

from service.errors import Overloaded
from service.live.load import LiveLoad

KEYPOINTS = person(1).xy.tolist()
BODY = {**OPENING, "keypoints": KEYPOINTS, "stream": "late"}


def frames(socket: ClientConnection) -> Iterator[None]:
    """A stream under way: each step is a frame and its early answer."""
    opened(socket)
    for number in range(100):
        send(socket, {"frame": number, "people": [{"id": 1, "keypoints": KEYPOINTS[0]}]})
        while (answer := receive(socket))["final"]:
            pass
        assert answer["frame"] == number
        yield


def over_websocket(server: httpx.Client) -> Document:
    """What a stream that would begin is told first."""
    with connected(server) as socket:
        send(socket, OPENING)
        said = receive(socket)
        if "error" in said:
            assert rest(socket)[1:] == (1013, said["error"]["detail"])
            return said["error"]
    return {"status": 200}


def over_http(server: httpx.Client) -> Document:
    server.delete("/streams/late")
    reply = server.post("/lift", json=BODY)
    if reply.status_code == 503:
        assert reply.headers["retry-after"] == "2"
        assert server.get("/streams").json() == {"streams": []}
    return {"status": reply.status_code, **reply.json()}


def test_who_comes_when_answers_are_late_is_refused_until_they_are_not(
    start_server: ServerStarter,
) -> None:
    with start_server(live_load=0.001, live_always=1) as server:
        with connected(server) as first:
            under_way = frames(first)
            for begin in (over_websocket, over_http):
                said: Document = {"status": 200}
                while said["status"] == 200:  # what a slow machine forgot is measured anew
                    next(under_way)
                    said = begin(server)
                assert said["status"] == 503
                assert "of the time between frames" in said["detail"]
            next(under_way)
        until(lambda: httpx.Response(over_http(server)["status"]), 200)


def begun(load: LiveLoad, fps: float) -> int:
    """How many streams may begin before anything is known of them."""
    for count in range(100):
        try:
            load.begin(count, fps)
        except Overloaded:
            return count
    raise AssertionError("nobody was refused")


@pytest.mark.parametrize(
    ("alone_s", "fps", "expected"), [(0.01, 30, 6), (0.01, 60, 3), (0.03, 30, 2), (9, 30, 1)]
)
def test_those_who_begin_together_are_counted(alone_s: float, fps: float, expected: int) -> None:
    """Each adds 1.5 times what a frame takes, shared by two calls; two are always let in where the
    machine would hold them, and one where it would not hold any."""
    load = LiveLoad(most=1.4, always=2, calls=2)
    load.alone_s = alone_s
    assert begun(load, fps) == expected


def test_streams_that_are_over_count_no_more() -> None:
    load = LiveLoad(most=0.1, always=1, calls=1)
    load.alone_s = 1.0
    for stream in range(5):  # one after the other, on a machine that is too slow for any
        load.begin(stream, 50)
        with load.answering(stream, 1, 50):
            pass
        load.end(stream)
    assert load.waiting() == 0
