"""The Python client against a real server, and against scripted responses."""

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
from paths import ONE
from service.client import AsyncClient, Client, NoService, ServiceProblem, messages
from service.wire.openapi.examples import LIFT_BODY

Response = tuple[int, dict[str, str], bytes]


@pytest.fixture
def url(server: httpx.Client) -> str:
    return str(server.base_url)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "_back_off", lambda state: 0.01)
    monkeypatch.setattr(messages, "POLL_S", 0.01)
    monkeypatch.setattr("service.client.client.POLL_S", 0.01)


def both(
    url: str,
    call: Callable[[Any], Any],
    awaiting: Callable[[AsyncClient], Coroutine[Any, Any, Any]] | None = None,
    **settings: Any,
) -> list[Any]:
    """The results of a call through both clients; `awaiting` is the call of AsyncClient if it is
    another."""

    async def awaited() -> Any:
        async with AsyncClient(url, **settings) as client:
            return await (awaiting or call)(client)

    with Client(url, **settings) as client:
        return [call(client), asyncio.run(awaited())]


def both_raise(
    error: type[Exception], url: str, call: Callable[[Any], Any], **settings: Any
) -> list[Any]:
    """The errors that a call raises through both clients."""

    def blocking(client: Client) -> Exception:
        with pytest.raises(error) as caught:
            call(client)
        return caught.value

    async def awaiting(client: AsyncClient) -> Exception:
        with pytest.raises(error) as caught:
            await call(client)
        return caught.value

    return both(url, blocking, awaiting, **settings)


def test_lift_returns_the_numbers_of_the_response(server: httpx.Client, url: str) -> None:
    response = server.post("/lift", json=LIFT_BODY).json()
    options = {name: LIFT_BODY[name] for name in ("image_size", "fps", "skeleton")}
    keypoints = np.array(LIFT_BODY["keypoints"])
    for lifted in both(url, lambda c: c.lift(keypoints, **options)):
        np.testing.assert_array_equal(lifted.poses, np.float32(response["poses"]))
        np.testing.assert_array_equal(lifted.keypoints, np.float32(response["keypoints"]))
        assert lifted.model == tuple(response["model"].values())
        assert (lifted.applied, list(lifted.warnings)) == (
            response["applied"],
            response["warnings"],
        )


def test_lift_sends_nan_rows_as_null(server: httpx.Client, url: str) -> None:
    keypoints = np.array(LIFT_BODY["keypoints"], float)
    keypoints[0, 9] = np.nan
    rows = json.loads(json.dumps(LIFT_BODY["keypoints"]))
    rows[0][9] = None
    response = server.post("/lift", json=LIFT_BODY | {"keypoints": rows}).json()
    with Client(url) as client:
        lifted = client.lift(
            keypoints,
            image_size=LIFT_BODY["image_size"],
            fps=LIFT_BODY["fps"],
            skeleton=LIFT_BODY["skeleton"],
        )
    np.testing.assert_array_equal(lifted.poses, np.float32(response["poses"]))
    assert (lifted.keypoints[..., 2] == 0).sum() == sum(r is None for r in response["keypoints"][0])


def test_bad_value_raises_its_problem_and_location(url: str) -> None:
    keypoints = np.full((2, 17, 2), 3e7)

    problems = both_raise(
        ServiceProblem, url, lambda c: c.lift(keypoints, image_size=(9, 9), fps=30)
    )
    for problem in problems:
        assert (problem.status, problem.title) == (422, "Invalid value")
        assert problem.where[:3] == ("keypoints", 0, 0)
        assert "keypoints[0][0]" in problem.detail and problem.detail in str(problem)


def test_blocking_client_works_inside_a_running_event_loop(url: str) -> None:
    async def run() -> str:
        with Client(url) as client:
            return client.lift(np.ones((2, 17, 2)), image_size=(9, 9), fps=30).model[0]

    assert asyncio.run(run()) == "poseformer-27"


@pytest.fixture(scope="module")
def finished(server: httpx.Client) -> str:
    """The id of a job that has succeeded."""
    with Client(str(server.base_url)) as client:
        job = client.submit(ONE, {"max_people": 1, "detect_every": 4})
        return client.wait(job.id).id


def test_uploaded_video_yields_the_servers_result_and_files(
    server: httpx.Client, url: str, finished: str, tmp_path: Path
) -> None:
    expected = server.get(f"/jobs/{finished}/result").json()

    def blocking(client: Client) -> VideoResult:
        client.save_result(finished, tmp_path / "result.json")
        client.save_overlay(finished, tmp_path / "overlay.mp4")
        return client.result(finished)

    async def awaiting(client: AsyncClient) -> VideoResult:
        await client.save_result(finished, tmp_path / "result.npz", "npz")
        return await client.lift_video(ONE, max_people=1, detect_every=4)

    for result in both(url, blocking, awaiting):
        assert [person.id for person in result.people] == [1]
        poses = result.people[0].poses.xyz
        np.testing.assert_array_equal(poses, np.float32(expected["people"][0]["poses"]))
    assert json.loads((tmp_path / "result.json").read_text()) == expected
    stored = read_npz(tmp_path / "result.npz")
    np.testing.assert_array_equal(stored.people[0].poses.xyz, poses)
    assert (tmp_path / "overlay.mp4").read_bytes()[4:8] == b"ftyp"
    assert len(list(tmp_path.iterdir())) == 3


def test_submit_and_follow_report_progress(url: str) -> None:
    reports: list[tuple[int, int]] = []
    with Client(url) as client:
        job = client.submit(
            ONE, {"max_people": 1}, progress=lambda done, total: reports.append((done, total))
        )
        states = list(client.follow(job.id))
        client.cancel(job.id)
    size = ONE.stat().st_size
    assert reports[-1] == (size, size) and reports == sorted(reports)
    assert states[-1].status == "succeeded" and states[-1].ended
    assert "detecting" in {state.stage for state in states}
    assert not any(state.ended for state in states[:-1])


def test_submit_with_the_same_key_returns_the_same_job(url: str) -> None:
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


def test_cancelled_job_has_no_result(url: str, tmp_path: Path) -> None:
    with Client(url) as client:
        job = client.submit(ONE)
        client.cancel(job.id)
        with pytest.raises(ServiceProblem, match="cancelled") as error:
            client.wait(job.id)
        assert error.value.status == 410
        with pytest.raises(ServiceProblem):
            client.save_result(job.id, tmp_path / "result.json")
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_no_video_is_rejected_on_submit(url: str) -> None:
    with Client(url) as client, pytest.raises(ServiceProblem) as error:
        client.submit(Path(__file__))
    assert (error.value.status, error.value.title) == (415, "Not a video")


def test_unreachable_service_and_bad_url_raise() -> None:
    with Client("http://127.0.0.1:9", attempts=2) as client, pytest.raises(NoService) as error:
        client.job("a")
    assert "http://127.0.0.1:9" in str(error.value) and "refused" in str(error.value)
    with pytest.raises(InvalidInput, match="port"):
        Client("http://localhost:port")


@contextmanager
def scripted(*responses: Response | None) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """A server that sends these responses in turn, then repeats the last; None closes the
    connection. Yields its URL and its requests: method, path, Idempotency-Key."""
    requests: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            length = int(self.headers.get("content-length", 0))
            self.rfile.read(length)
            requests.append((self.command, self.path, self.headers.get("idempotency-key", "")))
            response = responses[min(len(requests), len(responses)) - 1]
            self.close_connection = True
            if response is None:
                return
            status, headers, body = response
            self.send_response(status)
            self.send_header("connection", "close")  # else the client may reuse it
            for name, value in ({"content-length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = respond

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()


def job(status: str, **more: object) -> Response:
    progress = {"stage": status, "done": 1, "total": 2, "remaining_s": None}
    document = {"id": "a", "status": status, "progress": progress, **more}
    return 200, {"content-type": "application/json"}, json.dumps(document).encode()


BUSY: Response = (503, {"retry-after": "0"}, b'{"title": "Overloaded", "status": 503}')
MISSING: Response = (404, {}, b'{"title": "Not found", "status": 404, "detail": "no job a"}')


def test_retried_upload_keeps_its_idempotency_key() -> None:
    responses = (None, BUSY, (502, {}, b"<html>"), job("queued"))
    with scripted(*responses) as (url, requests), Client(url) as client:
        assert client.submit(ONE).status == "queued"
    assert len(requests) == 4 and len({key for _, _, key in requests}) == 1 and requests[0][2]


def test_retry_after_is_followed_up_to_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("service.client.client.time.sleep", slept.append)
    busy = (429, {"retry-after": "7"}, BUSY[2])
    with scripted(busy, busy, job("queued")) as (url, _), Client(url) as client:
        client.job("a")
    assert slept == [7, 7]
    hours = (503, {"retry-after": "7200"}, BUSY[2])
    with scripted(hours) as (url, requests), Client(url) as client:
        with pytest.raises(ServiceProblem) as error:
            client.job("a")
        assert error.value.retry_after_s == 7200
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("response", "error", "attempts"),
    [
        (BUSY, ServiceProblem, 3),
        (None, NoService, 3),
        (MISSING, ServiceProblem, 1),
        ((500, {}, b"oops"), ServiceProblem, 1),
        ((200, {}, b"<html>hello</html>"), NoService, 1),
        ((200, {}, b"{}"), NoService, 1),
    ],
)
def test_only_temporary_failures_are_retried(
    response: Response | None, error: type[Exception], attempts: int
) -> None:
    with scripted(response) as (url, requests):
        both_raise(error, url, lambda c: c.job("a"), attempts=3)
        assert len(requests) == 2 * attempts


def test_cancel_is_not_retried() -> None:
    with scripted(None) as (url, requests), Client(url) as client:
        with pytest.raises(NoService):
            client.cancel("a")
        assert [method for method, _, _ in requests] == ["DELETE"]


def test_follow_polls_the_job_without_events() -> None:
    async def statuses(client: AsyncClient) -> list[str]:
        return [state.status async for state in client.follow("a")]

    responses = (MISSING, job("queued"), None, job("running"), MISSING, job("succeeded"))
    with scripted(*responses * 2) as (url, requests):
        for states in both(url, lambda c: [state.status for state in c.follow("a")], statuses):
            assert states == ["queued", "running", "succeeded"]
    assert [path for _, path, _ in requests] == ["/jobs/a/events", "/jobs/a"] * 6


def test_wait_raises_the_problem_of_a_failed_job() -> None:
    problem = {"title": "Unreadable video", "status": 422, "detail": "no frame"}
    with (
        scripted(MISSING, job("failed", error=problem)) as (url, _),
        Client(url) as client,
        pytest.raises(ServiceProblem, match="Unreadable video: no frame"),
    ):
        client.wait("a")


def test_saved_file_is_complete_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "overlay.mp4"
    truncated: Response = (200, {"content-length": "99"}, b"half of")
    not_ready: Response = (202, {"retry-after": "0"}, b"{}")
    complete: Response = (200, {}, b"all of it")

    responses = (not_ready, truncated, not_ready, complete)
    with scripted(*responses * 2) as (url, requests):
        both(url, lambda c: c.save_overlay("a", path))
        assert path.read_bytes() == b"all of it" and len(requests) == 8
    with scripted(truncated) as (url, _):
        both_raise(NoService, url, lambda c: c.save_overlay("a", path))
    assert path.read_bytes() == b"all of it"
    assert list(tmp_path.iterdir()) == [path]
