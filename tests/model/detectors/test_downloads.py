"""Downloads from a server of our own that breaks off, lies, and changes its mind."""

import hashlib
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from dot_people import draw, simcc_network, standing
from model import DetectorUnavailable, InvalidInput, open_detector
from model.detectors import downloads
from model.detectors.downloads import cached_path, fetched

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Files:
    """What the server has, and how it behaves: `breaks` gives, for each request in turn, after how
    many bytes the connection is cut."""

    def __init__(self, url: str):
        self.url = url
        self.content = CONTENT
        self.status: int | None = None
        self.breaks: list[int] = []
        self.sends_tag = True
        self.asked: list[str | None] = []

    @property
    def tag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:8]}"'


def handler(files: Files) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            files.asked.append(self.headers["Range"])
            if files.status:
                self.send_response(files.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = self._start()
            rest = files.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(rest)))
            if files.sends_tag:
                self.send_header("ETag", files.tag)
            self.end_headers()
            cut = files.breaks.pop(0) if files.breaks else len(rest)
            self.wfile.write(rest[:cut])
            self.close_connection = True

        def _start(self) -> int:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
            return int(asked[1]) if asked and self.headers["If-Range"] == files.tag else 0

        def log_message(self, *_: object) -> None: ...

    return Handler


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    monkeypatch.setenv("POSELIFT_CACHE", str(tmp_path / "cache"))
    files = Files("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(files))
    files.url = f"http://127.0.0.1:{server.server_port}/models/a.onnx"
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield files
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_is_fetched_once_and_kept(files: Files) -> None:
    for sha256 in ("", SHA256, SHA256[:8]):
        path = fetched(files.url, sha256)
        assert path.read_bytes() == CONTENT and path.name == "a.onnx"
    assert files.asked == [None]


def test_what_broke_off_goes_on_where_it_stopped(files: Files) -> None:
    files.breaks = [1000, 5000]
    assert fetched(files.url, SHA256).read_bytes() == CONTENT
    assert files.asked == [None, "bytes=1000-", "bytes=6000-"]


def test_the_next_call_goes_on_too(files: Files) -> None:
    files.breaks = [100] * downloads.ATTEMPTS
    with pytest.raises(DetectorUnavailable, match="goes on where it stopped"):
        fetched(files.url)
    assert fetched(files.url).read_bytes() == CONTENT
    assert files.asked[-1] == f"bytes={100 * downloads.ATTEMPTS}-"


def test_a_file_that_changed_meanwhile_is_begun_anew(files: Files) -> None:
    files.breaks = [100] * downloads.ATTEMPTS
    with pytest.raises(DetectorUnavailable):
        fetched(files.url)
    files.content = CONTENT[::-1]
    assert fetched(files.url).read_bytes() == CONTENT[::-1]


def test_without_a_tag_nothing_is_pieced_together(files: Files) -> None:
    files.sends_tag, files.breaks = False, [1000]
    assert fetched(files.url).read_bytes() == CONTENT
    assert files.asked == [None, None]


def test_a_part_that_cannot_be_continued_is_begun_anew(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.breaks = [100] * downloads.ATTEMPTS
    with pytest.raises(DetectorUnavailable):
        fetched(files.url)
    files.status = 416
    with pytest.raises(DetectorUnavailable, match="refused"):
        fetched(files.url)
    files.status = None
    assert fetched(files.url).read_bytes() == CONTENT


def test_another_file_than_promised_is_not_kept(files: Files) -> None:
    with pytest.raises(DetectorUnavailable, match=f"sha256 {SHA256}, expected {'0' * 64}"):
        fetched(files.url, "0" * 64)
    assert not cached_path(files.url).exists()
    assert fetched(files.url).read_bytes() == CONTENT
    with pytest.raises(DetectorUnavailable, match="remove it and try again"):
        fetched(files.url, "0" * 64)


def test_a_file_that_rotted_in_the_cache_is_noticed(files: Files) -> None:
    fetched(files.url).write_bytes(CONTENT[:-1])
    with pytest.raises(DetectorUnavailable, match="remove it and try again"):
        fetched(files.url)


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, downloads.ATTEMPTS)])
def test_a_refusal_says_what_to_do(files: Files, status: int, requests: int) -> None:
    files.status = status
    with pytest.raises(DetectorUnavailable, match=f"{status}.*name the file instead"):
        fetched(files.url)
    assert len(files.asked) == requests


def test_more_than_the_limit_is_given_up(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "MAX_BYTES", 1000)
    with pytest.raises(DetectorUnavailable, match="more than 1000 bytes"):
        fetched(files.url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.onnx", "http://[/a.onnx", "http:///a"])
def test_addresses_that_answer_nothing(files: Files, url: str) -> None:
    with pytest.raises(DetectorUnavailable, match="could not be downloaded"):
        fetched(url)


def test_a_cache_that_cannot_be_written_is_named(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("POSELIFT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DetectorUnavailable, match="POSELIFT_CACHE"):
        fetched(files.url)


def test_a_detector_by_its_address(files: Files, tmp_path: Path) -> None:
    files.content = simcc_network(tmp_path / "dots.onnx").read_bytes()
    sha256 = hashlib.sha256(files.content).hexdigest()
    picture = draw([standing(100, 120, 180)], (200, 240))
    for address in (files.url, f"{files.url}#sha256={sha256}"):
        detector = open_detector(f"rtmpose:{address},boxes=whole-image", 1)
        assert len(detector.detect(np.asarray(picture), 0)) == 1
    assert len(files.asked) == 1
    with pytest.raises(InvalidInput, match="hexadecimal"):
        open_detector(f"rtmpose:{files.url}#sha256=xyz", 1)
