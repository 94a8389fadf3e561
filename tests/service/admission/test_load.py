"""Who may still begin a live stream, and that those under way go on."""

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


@pytest.mark.parametrize(
    ("fps", "most", "fits"), [(1, 0.31, True), (30, 0.35, False), (30, 0.4, True), (1000, 2, False)]
)
def test_who_asks_for_few_frames_a_second_adds_little(
    monkeypatch: pytest.MonkeyPatch, fps: float, most: float, fits: bool
) -> None:
    """Beside five streams of 30 frames/s, whose frames take 10 ms each."""
    times = SimpleNamespace(monotonic=lambda: now_s)
    monkeypatch.setattr("service.admission.load.time", times)
    load = LiveLoad(most=most, always=1, calls=1)
    for frame, stream in product(range(60), range(5)):
        now_s = frame / 30
        with load.answering(stream, 1, 30):
            now_s += 0.01
    assert load.waiting() == pytest.approx(0.3)
    with nullcontext() if fits else pytest.raises(Overloaded):
        load.begin("another", fps)


def test_one_stream_of_many_people_is_never_too_much(start_server: ServerStarter) -> None:
    """A live stream under way cannot come again with what was refused."""
    people = [{"id": id, "keypoints": KEYPOINTS[0]} for id in range(8)]
    with start_server(max_lift_tasks=2) as server, connected(server) as socket:
        opened(socket)
        for number in range(3):
            send(socket, {"frame": number, "people": people})
        send(socket, {"end": True})
        answers, code, _ = rest(socket)
    assert code == 1000
    assert [len(one["people"]) for one in answers] == [8] * 6
