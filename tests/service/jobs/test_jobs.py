"""/jobs through a real server: progress, results, renditions, idempotency keys, limits."""

import io
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import numpy as np
import pytest

from films import corners, film
from jobs_client import ASYNC, ONE, TWO, at_work, begin, ended, events, newest, send
from model import read_npz
from servers import ServerStarter, until
from service.jobs.store import Store
from service.routes.preferences import Wait, wait_of
from service.settings import Settings
from service.wire.openapi.responses import JobReply, JobsReply, VideoReply


@pytest.fixture(scope="module")
def done(server: httpx.Client) -> str:
    """The path of a job that has succeeded."""
    path = begin(server)
    assert ended(server, path)["status"] == "succeeded"
    return path


def test_events_report_progress_until_the_job_ends(server: httpx.Client) -> None:
    path = begin(server)
    documents = list(events(server, path))
    for document in documents:
        JobReply.model_validate(document, strict=True)
    assert next(d["status"] for d in documents if d["status"] != "queued") == "running"
    assert documents[-1] == server.get(path).json()
    assert documents[-1]["status"] == "succeeded"
    progress = [d["progress"] for d in documents if d["progress"]["stage"] == "detecting"]
    assert [p["done"] for p in progress] == sorted(p["done"] for p in progress)
    assert {p["total"] for p in progress} == {48}
    assert {"expires_at", "ended_at"} <= documents[-1].keys()


def test_result_equals_the_response_of_a_waiting_request(server: httpx.Client, done: str) -> None:
    waited = send(server, ONE)
    assert waited.status_code == 200
    VideoReply.model_validate(waited.json(), strict=True)
    fetched = server.get(f"{done}/result")
    assert fetched.headers["content-type"] == "application/json"
    job = {name: waited.json()[name] for name in ("id", "links")}
    assert waited.headers["location"] == job["links"]["self"]
    assert {**job, **fetched.json()} == waited.json()


def test_result_in_other_formats_holds_the_same_poses(
    server: httpx.Client, done: str, tmp_path: Path
) -> None:
    result = server.get(f"{done}/result").json()
    (tmp_path / "result.npz").write_bytes(server.get(f"{done}/result?format=npz").content)
    (person,) = read_npz(tmp_path / "result.npz").people
    np.testing.assert_array_equal(person.poses.xyz, np.float32(result["people"][0]["poses"]))
    table = server.get(f"{done}/result?format=csv&person=1")
    assert table.headers["content-type"].startswith("text/csv")
    assert len(table.text.splitlines()) == 1 + 17 * len(result["people"][0]["frames"])
    angles = server.get(f"{done}/result?format=angles")
    assert angles.status_code == 200
    assert angles.text != table.text


def test_result_in_world_space_stands_on_the_floor(
    server: httpx.Client, done: str, tmp_path: Path
) -> None:
    root, world = (server.get(f"{done}/result{query}").json() for query in ("", "?space=world"))
    VideoReply.model_validate(world, strict=True)
    assert (root["applied"]["space"], world["applied"]["space"]) == ("root", "world")
    assert world["room"] == root["room"] and "the camera stands still" in world["room"]["assumes"]
    turn, height_m = np.array(world["room"]["rotation"]), world["room"]["camera_height_m"]
    (before,), (after,) = root["people"], world["people"]
    camera = np.array(before["poses"]) + np.array(before["root"])[:, None]
    np.testing.assert_allclose(after["poses"], camera @ turn.T + (0, height_m, 0), atol=1e-5)
    assert 0 < np.median(np.min(np.array(after["poses"])[:, [3, 6], 1], axis=1)) < 0.2
    (tmp_path / "world.npz").write_bytes(
        server.get(f"{done}/result?format=npz&space=world").content
    )
    (person,) = read_npz(tmp_path / "world.npz").people
    np.testing.assert_array_equal(person.poses.xyz, np.float32(after["poses"]))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("space=moon", "'root', 'camera' or 'world'"),
        ("format=gif", "known: .*csv.*json.*npz"),
        ("format=csv&person=7", "unknown person '7'; known: 1"),
        ("format=json&person=1", "json holds everybody"),
        ("format=csv&person=me", "integer"),
        ("form=csv", "form: unknown, not ignored"),
        ("format=csv&format=npz", "given 2 times"),
    ],
)
def test_bad_result_query_is_422(server: httpx.Client, done: str, query: str, message: str) -> None:
    response = server.get(f"{done}/result?{query}")
    assert response.status_code == 422
    assert re.search(message, response.json()["detail"])


def test_overlay_is_an_mp4_with_byte_ranges(server: httpx.Client, done: str) -> None:
    later = server.get(f"{done}/overlay", headers=ASYNC)
    assert later.status_code == 202
    assert int(later.headers["retry-after"]) > 0
    complete = server.get(f"{done}/overlay")
    assert complete.headers["content-type"] == "video/mp4"
    with av.open(io.BytesIO(complete.content)) as container:
        assert container.streams.video[0].frames == 48
    part = server.get(f"{done}/overlay", headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, complete.content[100:200])


def test_jobs_are_listed_newest_first(server: httpx.Client, done: str) -> None:
    latest = begin(server, film())
    listed = server.get("/jobs").json()
    JobsReply.model_validate(listed, strict=True)
    paths = [job["links"]["self"] for job in listed["jobs"]]
    assert paths[0] == latest
    assert done in paths
    assert len(server.get("/jobs?limit=1").json()["jobs"]) == 1
    for query in ("limit=0", "limit=x", "page=2"):
        assert server.get(f"/jobs?{query}").status_code == 422
    assert ended(server, latest)["status"] == "succeeded"


@pytest.mark.parametrize("end", ["", "/events", "/result", "/overlay"])
def test_unknown_job_is_404(server: httpx.Client, end: str) -> None:
    response = server.get(f"/jobs/0000{end}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert server.delete("/jobs/0000").status_code == 404


def test_cancelled_job_ends_at_once_and_is_deleted_next(
    server: httpx.Client, jobs_folder: Path
) -> None:
    path = begin(server, TWO)
    at_work(server, path)
    assert server.get(f"{path}/result").status_code == 409
    cancelled = server.delete(path)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert not (jobs_folder / "media" / cancelled.json()["id"]).exists()
    assert server.get(f"{path}/result").status_code == 410
    assert server.delete(path).status_code == 204
    assert server.get(path).status_code == 404
    assert ended(server, begin(server, film()))["status"] == "succeeded"


def test_idempotency_key_returns_the_same_job(server: httpx.Client) -> None:
    content = film()
    path = begin(server, content, idempotency_key="a-key")
    assert begin(server, content, idempotency_key="another") != path
    again = send(server, content, idempotency_key="a-key")
    assert (again.status_code, again.headers["location"]) == (200, path), again.text
    for other, query in ((film([0, 1]), ""), (content, "max_people=1")):
        conflict = send(server, other, query, idempotency_key="a-key")
        assert conflict.status_code == 409, conflict.text
        assert path.rpartition("/")[2] in conflict.json()["detail"]
    assert send(server, content, idempotency_key="x" * 256).status_code == 422


def test_job_goes_on_after_its_client_disconnects(server: httpx.Client) -> None:
    form = httpx.Request("POST", "http://a/video", files={"file": ONE})
    body = form.read()
    head = f"POST /video HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
    head += f"Content-Type: {form.headers['content-type']}\r\n\r\n"
    known = len(server.get("/jobs").json()["jobs"])
    url = server.base_url
    with socket.create_connection((url.host, url.port or 80)) as leaving:
        leaving.sendall(head.encode() + body)
        path = newest(server, known + 1)
    assert ended(server, path)["status"] == "succeeded"


def sized(content: bytes, width: int, height: int) -> bytes:
    """An MP4 whose headers declare another size than its frames have."""
    track, sample = content.index(b"tkhd"), content.index(b"mp4v")
    changed = bytearray(content)
    changed[track + 80 : track + 88] = (width << 16).to_bytes(6, "big")[-4:] + (
        height << 16
    ).to_bytes(6, "big")[-4:]
    changed[sample + 28 : sample + 32] = width.to_bytes(2, "big") + height.to_bytes(2, "big")
    return bytes(changed)


def lengthened(content: bytes) -> bytes:
    """An MP4 whose header declares a duration of days."""
    changed = bytearray(content)
    at = content.index(b"mdhd") + 20
    changed[at : at + 4] = (2**30).to_bytes(4, "big")
    return bytes(changed)


@pytest.mark.parametrize(
    ("content", "frames"),
    [
        (film([0]), 1),
        (film(np.arange(12) / 240), 12),
        (film([0, 1, 2]), 3),
        (film(suffix="mpegts") + film(suffix="mpegts", image=corners(128, 96)), 10),
        (sized(film(), 60000, 60000), 5),
        (ONE[: len(ONE) * 2 // 3], None),
        (lengthened(film()), 5),
    ],
    ids=["one frame", "240 fps", "1 fps", "size changes", "wrong size", "cut", "wrong length"],
)
def test_odd_video_succeeds_or_is_rejected(
    server: httpx.Client, content: bytes, frames: int | None
) -> None:
    response = send(server, content)
    if frames is None:
        assert response.status_code in (413, 422), response.text
        assert response.headers["content-type"] == "application/problem+json"
    else:
        assert response.status_code == 200, response.text
        assert response.json()["video"]["frames"] == frames


@pytest.mark.parametrize(
    ("prefer", "wait"),
    [
        ("", Wait(30, None)),
        ("wait=5", Wait(5, "wait=5")),
        ("respond-async", Wait(0, "respond-async")),
        ("Respond-Async; foo=1, wait=10", Wait(10, "wait=10")),
        ("wait=5, wait=7", Wait(5, "wait=5")),
        ('wait="5"', Wait(5, "wait=5")),
        ("wait=1e9, return=minimal", Wait(30, None)),
        ("wait=-1", Wait(30, None)),
        ("wait=" + "9" * 400, Wait(300, "wait=300")),
    ],
)
def test_wait_of_reads_the_prefer_header(prefer: str, wait: Wait) -> None:
    assert wait_of(prefer, Settings(video_wait_s=30, video_wait_max_s=300)) == wait


@pytest.fixture(scope="module")
def strict_server(start_server: ServerStarter) -> Iterator[httpx.Client]:
    with start_server(
        max_video_frames=10, max_video_s=30, max_picture_mp=0.01, results_kept_h=1e-4, jobs_kept_h=0
    ) as client:
        yield client


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (film(np.arange(11) / 25), "10 frames"),
        (film(np.arange(40) / 1), "10 frames|30 seconds"),
        (film(image=corners(128, 96)), "0.01 megapixels"),
        (film(np.arange(11) / 25, suffix="mpegts"), "10 frames"),
    ],
    ids=["frames", "seconds", "pixels", "undeclared frames"],
)
def test_video_over_a_limit_is_413(
    strict_server: httpx.Client, content: bytes, message: str
) -> None:
    response = send(strict_server, content)
    assert response.status_code == 413, response.text
    assert re.search(message, response.json()["detail"])


def test_expired_job_is_404(strict_server: httpx.Client) -> None:
    path = begin(strict_server, film())
    assert ended(strict_server, path)["status"] == "succeeded"
    until(lambda: strict_server.get(path), 404)


def test_upload_is_rejected_before_the_disk_is_full(
    start_server: ServerStarter, tmp_path: Path
) -> None:
    with start_server(min_free_mb=1e9, jobs_folder=tmp_path) as client:
        response = send(client, film())
        assert (response.status_code, response.json()["title"]) == (503, "Storage full")
        assert int(response.headers["retry-after"]) > 0
        assert list(tmp_path.glob("incoming/*")) == []


def test_unreadable_store_is_reported(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite").write_bytes(b"not a database. " * 100)
    with pytest.raises(Exception, match="job store .* cannot be read .*; move it away"):
        Store(tmp_path / "jobs.sqlite")
