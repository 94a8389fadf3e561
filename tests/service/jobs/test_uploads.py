"""The form of POST /video: streamed to disk, limited, and removed if rejected."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from servers import ServerStarter, until, until_busy

BOUNDARY = "----poselift"
HEAD = (
    "POST /video HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n"
    f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
)


def part(name: str, content: bytes) -> bytes:
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="a.mp4"\r\n\r\n'
    )
    return head.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def post(client: httpx.Client, content: bytes, boundary: str = BOUNDARY) -> httpx.Response:
    media_type = f"multipart/form-data; boundary={boundary}"
    return client.post("/video", content=content, headers={"content-type": media_type})


@pytest.mark.parametrize(
    ("content", "status", "title"),
    [
        (form(part("file", b"text")), 415, "Not a video"),
        (form(), 422, "Invalid value"),
        (form(part("clip", b"text")), 422, "Invalid value"),
        (form(part("file", b"text"), part("model", b"poseformer-27")), 422, "Invalid value"),
        (form(part("file", b"text"), part("file", b"text")), 422, "Invalid value"),
        (form(part("file", b"text"))[:-20], 400, "Malformed multipart body"),
        (part("file", b"text"), 400, "Malformed multipart body"),
        (b"", 400, "Malformed multipart body"),
        (b"\x00" * 1000, 400, "Malformed multipart body"),
        (form(b"--" + BOUNDARY.encode() + b"\r\n\r\ntext\r\n"), 422, "Invalid value"),
    ],
    ids=[
        *("text", "no field", "other field", "second field", "twice"),
        *("cut", "no end", "empty", "zeros", "no name"),
    ],
)
def test_bad_form_is_rejected(
    server: httpx.Client, content: bytes, status: int, title: str
) -> None:
    response = post(server, content)
    assert (response.status_code, response.json()["title"]) == (status, title)


def test_unknown_field_is_named(server: httpx.Client) -> None:
    response = post(server, form(part("model", b"poseformer-27")))
    assert response.json()["errors"][0]["location"] == ["model"]
    assert "query parameters" in response.json()["detail"]


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/json", 415),
        ("video/mp4", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data", 400),
        (f"multipart/form-data; boundary={'x' * 300}", 400),
    ],
)
def test_body_that_is_no_form_is_rejected(
    server: httpx.Client, media_type: str, status: int
) -> None:
    response = server.post("/video", content=b"{}", headers={"content-type": media_type})
    assert response.status_code == status


def test_request_without_body_misses_the_field(server: httpx.Client) -> None:
    response = server.post("/video")
    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == ["file"]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("maxpeople=2", "maxpeople"),
        ("model=poseformer-99", "model"),
        ("detector=yolo", "detector"),
        ("smoothing=kalman", "smoothing"),
        ("readout=last", "readout"),
        ("flip=perhaps", "flip"),
        ("max_people=0", "max_people"),
        ("max_people=many", "max_people"),
        ("max_people=1000000", "max_people"),
        ("focal_px=-5", "focal_px"),
        ("focal_px=nan", "focal_px"),
        ("height_m=inf", "height_m"),
        ("height_m=30", "height_m"),
        ("model=poseformer-27&model=poseformer-27", "model"),
    ],
)
def test_bad_option_is_rejected_before_the_upload(
    server: httpx.Client, query: str, name: str
) -> None:
    response = server.post(f"/video?{query}", files={"file": b"text"})
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["location"] == [name]


def left_behind(jobs_folder: Path) -> list[Path]:
    """Files of uploads and jobs."""
    return [*jobs_folder.glob("incoming/*"), *jobs_folder.glob("media/*")]


def until_arrived(jobs_folder: Path) -> None:
    """Wait until an upload is on disk: the server counts as busy before its file exists."""
    end_s = time.monotonic() + 20
    while not left_behind(jobs_folder):
        assert time.monotonic() < end_s
        time.sleep(0.02)


@pytest.fixture(scope="module")
def small_server(start_server: ServerStarter, small_folder: Path) -> Iterator[httpx.Client]:
    with start_server(
        max_upload_mb=1,
        videos_at_once=1,
        videos_waiting=0,
        upload_stall_s=1,
        jobs_folder=small_folder,
    ) as client:
        yield client


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


def connect(client: httpx.Client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=30)


def test_declared_upload_over_the_limit_is_413_at_once(
    small_server: httpx.Client, small_folder: Path
) -> None:
    with connect(small_server) as connection:
        connection.sendall(HEAD.format(length=10**12).encode())
        assert connection.recv(12) == b"HTTP/1.1 413"
    assert left_behind(small_folder) == []


def test_chunked_upload_over_the_limit_is_413(
    small_server: httpx.Client, small_folder: Path
) -> None:
    def parts() -> Iterator[bytes]:
        yield part("file", b"")[:-2]
        for _ in range(300):
            yield b"\x00" * 10_000

    media_type = f"multipart/form-data; boundary={BOUNDARY}"
    response = small_server.post("/video", content=parts(), headers={"content-type": media_type})
    assert response.status_code == 413
    assert "at most 1 MB" in response.json()["detail"]
    assert left_behind(small_folder) == []


def test_server_at_capacity_is_503_with_retry_after(small_server: httpx.Client) -> None:
    def upload() -> httpx.Response:
        return post(small_server, form(part("file", b"text")))

    with connect(small_server) as slow:
        slow.sendall(HEAD.format(length=1000).encode() + part("file", b"text"))
        until_busy(small_server)
        busy = upload()
        assert busy.status_code == 503
        assert int(busy.headers["retry-after"]) > 0
    # after a disconnect its capacity is free at once, long before the upload counts as stalled
    until(upload, 415)


def test_stalled_upload_is_408(small_server: httpx.Client, small_folder: Path) -> None:
    with connect(small_server) as stalled:
        stalled.sendall(HEAD.format(length=1000).encode() + part("file", b"text"))
        assert stalled.recv(12) == b"HTTP/1.1 408"
    assert left_behind(small_folder) == []


def test_rejected_upload_leaves_no_files(small_server: httpx.Client, small_folder: Path) -> None:
    assert post(small_server, form(part("file", b"text" * 100_000))).status_code == 415
    assert post(small_server, form(part("file", b"text" * 100_000))[:-20]).status_code == 400
    assert left_behind(small_folder) == []


def test_disconnected_upload_leaves_no_files(
    small_server: httpx.Client, small_folder: Path
) -> None:
    with connect(small_server) as cut:
        cut.sendall(HEAD.format(length=1_000_000).encode() + part("file", b"text" * 100_000))
        until_busy(small_server)
        until_arrived(small_folder)
    until(lambda: post(small_server, form(part("file", b"text"))), 415)
    assert left_behind(small_folder) == []
