"""The Python client against a real server, and against what may stand in the way of one."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from model import InvalidInput, VideoResult, read_npz
from paths import CLIPS
from service.client import exchange
from service.client.client import AsyncClient, Client, NoService, ServiceProblem
from service.wire.openapi.examples import LIFT_BODY

ONE = CLIPS / "one_person.mp4"

Reply = tuple[int, dict[str, str], bytes]


@pytest.fixture
def url(server: httpx.Client) -> str:
    return str(server.base_url)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_back_off", lambda state: 0.01)
    monkeypatch.setattr(exchange, "POLL_S", 0.01)
    monkeypatch.setattr("service.client.client.POLL_S", 0.01)


def both(
    url: str,
    sync: Callable[[Client], Any],
    other: Callable[[AsyncClient], Coroutine[Any, Any, Any]],
    **settings: Any,
) -> list[Any]:
    """What the one client answers, and what the other does."""

    async def awaited() -> Any:
        async with AsyncClient(url, **settings) as client:
            return await other(client)

    with Client(url, **settings) as client:
        return [sync(client), asyncio.run(awaited())]


def test_lift_gives_the_servers_numbers(server: httpx.Client, url: str) -> None:
    reply = server.post("/lift", json=LIFT_BODY).json()
    given = {name: LIFT_BODY[name] for name in ("image_size", "fps", "skeleton")}
    keypoints = np.array(LIFT_BODY["keypoints"])
    for lifted in both(
        url, lambda c: c.lift(keypoints, **given), lambda c: c.lift(keypoints, **given)
    ):
        np.testing.assert_array_equal(lifted.poses, np.float32(reply["poses"]))
        np.testing.assert_array_equal(lifted.keypoints, np.float32(reply["keypoints"]))
        assert lifted.model == tuple(reply["model"].values())
        assert (lifted.applied, list(lifted.warnings)) == (reply["applied"], reply["warnings"])


def test_rows_with_nan_are_not_seen(server: httpx.Client, url: str) -> None:
    keypoints = np.array(LIFT_BODY["keypoints"], float)
    keypoints[0, 9] = np.nan
    rows = json.loads(json.dumps(LIFT_BODY["keypoints"]))
    rows[0][9] = None
    reply = server.post("/lift", json=LIFT_BODY | {"keypoints": rows}).json()
    with Client(url) as client:
        lifted = client.lift(
            keypoints,
            image_size=LIFT_BODY["image_size"],
            fps=LIFT_BODY["fps"],
            skeleton=LIFT_BODY["skeleton"],
        )
    np.testing.assert_array_equal(lifted.poses, np.float32(reply["poses"]))
    assert (lifted.keypoints[..., 2] == 0).sum() == sum(r is None for r in reply["keypoints"][0])


def test_a_refusal_says_what_and_where(url: str) -> None:
    keypoints = np.full((2, 17, 2), 3e7)

    async def refused(client: AsyncClient) -> None:
        with pytest.raises(ServiceProblem) as error:
            await client.lift(keypoints, image_size=(9, 9), fps=30)
        check(error.value)

    def check(problem: ServiceProblem) -> None:
        assert (problem.status, problem.title) == (422, "Invalid value")
        assert problem.where[:3] == ("keypoints", 0, 0)
        assert "keypoints[0][0]" in problem.detail and problem.detail in str(problem)

    def refused_too(client: Client) -> None:
        with pytest.raises(ServiceProblem) as error:
            client.lift(keypoints, image_size=(9, 9), fps=30)
        check(error.value)

    both(url, refused_too, refused)


@pytest.fixture(scope="module")
def finished(server: httpx.Client) -> str:
    """A job that has succeeded."""
    with Client(str(server.base_url)) as client:
        job = client.submit(ONE, {"max_people": 1, "detect_every": 4})
        return client.wait(job.id).id


def test_an_upload_is_followed_to_its_end_and_its_result(
    server: httpx.Client, url: str, finished: str, tmp_path: Path
) -> None:
    expected = server.get(f"/jobs/{finished}/result").json()

    def lifted(client: Client) -> VideoResult:
        client.save_result(finished, tmp_path / "result.json")
        client.save_overlay(finished, tmp_path / "overlay.mp4")
        return client.result(finished)

    async def awaited(client: AsyncClient) -> VideoResult:
        await client.save_result(finished, tmp_path / "result.npz", "npz")
        return await client.lift_video(ONE, max_people=1, detect_every=4)

    for result in both(url, lifted, awaited):
        assert [person.id for person in result.people] == [1]
        poses = result.people[0].poses.xyz
        np.testing.assert_array_equal(poses, np.float32(expected["people"][0]["poses"]))
    assert json.loads((tmp_path / "result.json").read_text()) == expected
    stored = read_npz(tmp_path / "result.npz")
    np.testing.assert_array_equal(stored.people[0].poses.xyz, poses)
    assert (tmp_path / "overlay.mp4").read_bytes()[4:8] == b"ftyp"
    assert len(list(tmp_path.iterdir())) == 3


def test_progress_of_upload_and_work(url: str) -> None:
    told: list[tuple[int, int]] = []
    with Client(url) as client:
        job = client.submit(
            ONE, {"max_people": 1}, progress=lambda done, total: told.append((done, total))
        )
        states = list(client.follow(job.id))
        client.cancel(job.id)
    size = ONE.stat().st_size
    assert told[-1] == (size, size) and told == sorted(told)
    assert states[-1].status == "succeeded" and states[-1].ended
    assert "detecting" in {state.stage for state in states}
    assert not any(state.ended for state in states[:-1])


def test_the_same_key_is_the_same_job(url: str) -> None:
    with Client(url) as client:
        first, again = (client.submit(ONE, {"max_people": 1}, key="once") for _ in range(2))
        assert first.id == again.id
        with pytest.raises(ServiceProblem) as error:
            client.submit(ONE, {"max_people": 2}, key="once")
        assert error.value.status == 409
        other = client.submit(ONE, {"max_people": 1})
        assert other.id != first.id
        for id in (first.id, other.id):
            client.cancel(id)


def test_a_cancelled_job_has_no_result(url: str, tmp_path: Path) -> None:
    with Client(url) as client:
        job = client.submit(ONE)
        client.cancel(job.id)
        with pytest.raises(ServiceProblem, match="cancelled") as error:
            client.wait(job.id)
        assert error.value.status == 410
        with pytest.raises(ServiceProblem):
            client.save_result(job.id, tmp_path / "result.json")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_video_is_refused_at_once(url: str) -> None:
    with Client(url) as client, pytest.raises(ServiceProblem) as error:
        client.submit(Path(__file__))
    assert (error.value.status, error.value.title) == (415, "Not a video")


def test_nobody_there() -> None:
    with Client("http://127.0.0.1:9", attempts=2) as client, pytest.raises(NoService) as error:
        client.job("a")
    assert "http://127.0.0.1:9" in str(error.value) and "refused" in str(error.value)
    with pytest.raises(InvalidInput, match="port"):
        Client("http://localhost:port")


@contextmanager
def answering(*replies: Reply | None) -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """A server that gives these replies in turn, the last one ever after; None breaks off. Beside
    its address, the requests it got: method, path, and the header Idempotency-Key."""
    got: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("content-length", 0))
            self.rfile.read(length)
            got.append((self.command, self.path, self.headers.get("idempotency-key", "")))
            reply = replies[min(len(got), len(replies)) - 1]
            self.close_connection = True
            if reply is None:
                return
            status, headers, body = reply
            self.send_response(status)
            self.send_header("connection", "close")  # else clients may ask on what is closed
            for name, value in ({"content-length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()


def job(status: str, **more: object) -> Reply:
    progress = {"stage": status, "done": 1, "total": 2, "remaining_s": None}
    document = {"id": "a", "status": status, "progress": progress, **more}
    return 200, {"content-type": "application/json"}, json.dumps(document).encode()


BUSY: Reply = (503, {"retry-after": "0"}, b'{"title": "Overloaded", "status": 503}')
MISSING: Reply = (404, {}, b'{"title": "Not found", "status": 404, "detail": "no job a"}')


def test_an_upload_is_repeated_as_the_same_job() -> None:
    replies = (None, BUSY, (502, {}, b"<html>"), job("queued"))
    with answering(*replies) as (url, got), Client(url) as client:
        assert client.submit(ONE).status == "queued"
    assert len(got) == 4 and len({key for _, _, key in got}) == 1 and got[0][2]


def test_the_service_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", slept.append)
    busy = (429, {"retry-after": "7"}, BUSY[2])
    with answering(busy, busy, job("queued")) as (url, _), Client(url) as client:
        client.job("a")
    assert slept == [7, 7]
    hours = (503, {"retry-after": "7200"}, BUSY[2])
    with answering(hours) as (url, got), Client(url) as client:
        with pytest.raises(ServiceProblem) as error:
            client.job("a")
        assert error.value.retry_after_s == 7200
    assert len(got) == 1


@pytest.mark.parametrize(
    ("reply", "error", "tries"),
    [
        (BUSY, ServiceProblem, 3),
        (None, NoService, 3),
        (MISSING, ServiceProblem, 1),
        ((500, {}, b"oops"), ServiceProblem, 1),
        ((200, {}, b"<html>hello</html>"), NoService, 1),
        ((200, {}, b"{}"), NoService, 1),
    ],
)
def test_only_what_may_pass_is_tried_again(
    reply: Reply | None, error: type[Exception], tries: int
) -> None:
    async def asked(client: AsyncClient) -> None:
        with pytest.raises(error):
            await client.job("a")

    def asked_too(client: Client) -> None:
        with pytest.raises(error):
            client.job("a")

    with answering(reply) as (url, got):
        both(url, asked_too, asked, attempts=3)
        assert len(got) == 2 * tries


def test_a_removal_is_not_repeated() -> None:
    with answering(None) as (url, got), Client(url) as client:
        with pytest.raises(NoService):
            client.cancel("a")
        assert [method for method, _, _ in got] == ["DELETE"]


def test_where_events_cannot_be_heard_the_job_is_asked() -> None:
    async def statuses(client: AsyncClient) -> list[str]:
        return [state.status async for state in client.follow("a")]

    replies = (MISSING, job("queued"), None, job("running"), MISSING, job("succeeded"))
    with answering(*replies * 2) as (url, got):
        for found in both(url, lambda c: [state.status for state in c.follow("a")], statuses):
            assert found == ["queued", "running", "succeeded"]
    assert [path for _, path, _ in got] == ["/jobs/a/events", "/jobs/a"] * 6


def test_a_job_that_failed_says_why() -> None:
    problem = {"title": "Unreadable video", "status": 422, "detail": "no frame"}
    with (
        answering(MISSING, job("failed", error=problem)) as (url, _),
        Client(url) as client,
        pytest.raises(ServiceProblem, match="Unreadable video: no frame"),
    ):
        client.wait("a")


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "overlay.mp4"
    torn: Reply = (200, {"content-length": "99"}, b"half of")
    making: Reply = (202, {"retry-after": "0"}, b"{}")
    whole: Reply = (200, {}, b"all of it")
    with answering(making, torn, making, whole) as (url, got), Client(url) as client:
        client.save_overlay("a", path)
        assert path.read_bytes() == b"all of it" and len(got) == 4
    with answering(torn) as (url, _):

        async def saved(client: AsyncClient) -> None:
            with pytest.raises(NoService):
                await client.save_overlay("a", path)

        both(url, lambda c: None, saved)
    assert path.read_bytes() == b"all of it"
    assert list(tmp_path.iterdir()) == [path]
