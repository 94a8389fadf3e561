"""Downloads from a local server that breaks connections and changes its file."""

import gzip
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
from model.detectors.downloads import cached_download, cached_path

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Files:
    """The server's file and behaviour; `breaks`: for each request in turn, after how many bytes the
    connection breaks."""

    def __init__(self, url: str):
        self.url = url
        self.content = CONTENT
        self.status: int | None = None
        self.breaks: list[int] = []
        self.sends_tag = True
        self.encodes = False
        self.ranges: list[str | None] = []

    @property
    def tag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:8]}"'


def handler(files: Files) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            files.ranges.append(self.headers["Range"])
            if files.status:
                self.send_response(files.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = self._start()
            content = gzip.compress(files.content) if files.encodes else files.content
            rest = content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(rest)))
            if files.encodes:
                self.send_header("Content-Encoding", "gzip")
            if files.sends_tag:
                self.send_header("ETag", files.tag)
            self.end_headers()
            cut = files.breaks.pop(0) if files.breaks else len(rest)
            self.wfile.write(rest[:cut])
            self.close_connection = True

        def _start(self) -> int:
            match = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
            return int(match[1]) if match and self.headers["If-Range"] == files.tag else 0

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


def test_file_is_downloaded_once_and_cached(files: Files) -> None:
    for sha256 in ("", SHA256, SHA256[:8]):
        path = cached_download(files.url, sha256)
        assert path.read_bytes() == CONTENT and path.name == "a.onnx"
    assert files.ranges == [None]


def test_broken_download_is_resumed(files: Files) -> None:
    files.breaks = [1000, 5000]
    assert cached_download(files.url, SHA256).read_bytes() == CONTENT
    assert files.ranges == [None, "bytes=1000-", "bytes=6000-"]


def test_next_call_resumes_a_failed_download(files: Files) -> None:
    files.breaks = [100] * downloads.ATTEMPTS
    with pytest.raises(DetectorUnavailable, match="try again to resume"):
        cached_download(files.url)
    assert cached_download(files.url).read_bytes() == CONTENT
    assert files.ranges[-1] == f"bytes={100 * downloads.ATTEMPTS}-"


def test_changed_file_is_downloaded_from_the_start(files: Files) -> None:
    files.breaks = [100] * downloads.ATTEMPTS
    with pytest.raises(DetectorUnavailable):
        cached_download(files.url)
    files.content = CONTENT[::-1]
    assert cached_download(files.url).read_bytes() == CONTENT[::-1]


def test_download_without_tag_is_not_resumed(files: Files) -> None:
    files.sends_tag, files.breaks = False, [1000]
    assert cached_download(files.url).read_bytes() == CONTENT
    assert files.ranges == [None, None]


def test_encoded_download_is_decoded_and_not_resumed(files: Files) -> None:
    files.encodes, files.breaks = True, [100]
    assert cached_download(files.url, SHA256).read_bytes() == CONTENT
    assert files.ranges == [None, None]


def test_refused_resume_starts_over(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.breaks = [100] * downloads.ATTEMPTS
    with pytest.raises(DetectorUnavailable):
        cached_download(files.url)
    files.status = 416
    with pytest.raises(DetectorUnavailable, match="refused"):
        cached_download(files.url)
    files.status = None
    assert cached_download(files.url).read_bytes() == CONTENT


def test_file_with_wrong_sha256_is_not_cached(files: Files) -> None:
    with pytest.raises(DetectorUnavailable, match=f"expected sha256 {'0' * 64}, got {SHA256}"):
        cached_download(files.url, "0" * 64)
    assert not cached_path(files.url).exists()
    assert cached_download(files.url).read_bytes() == CONTENT
    with pytest.raises(DetectorUnavailable, match="delete the file and try again"):
        cached_download(files.url, "0" * 64)


def test_damaged_cached_file_is_rejected(files: Files) -> None:
    cached_download(files.url).write_bytes(CONTENT[:-1])
    with pytest.raises(DetectorUnavailable, match="delete the file and try again"):
        cached_download(files.url)


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, downloads.ATTEMPTS)])
def test_http_errors_are_reported_and_5xx_retried(files: Files, status: int, requests: int) -> None:
    files.status = status
    with pytest.raises(DetectorUnavailable, match=f"{status}.*give the file instead"):
        cached_download(files.url)
    assert len(files.ranges) == requests


def test_file_over_the_limit_is_rejected(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "MAX_BYTES", 1000)
    with pytest.raises(DetectorUnavailable, match="larger than 0.001 MB"):
        cached_download(files.url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.onnx", "http://[/a.onnx", "http:///a"])
def test_unreachable_and_invalid_urls_are_rejected(files: Files, url: str) -> None:
    with pytest.raises(DetectorUnavailable, match="could not be downloaded"):
        cached_download(url)


def test_message_names_a_cache_that_cannot_be_written(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("POSELIFT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DetectorUnavailable, match="POSELIFT_CACHE"):
        cached_download(files.url)


def test_detector_opens_from_url_and_checks_its_sha256(files: Files, tmp_path: Path) -> None:
    files.content = simcc_network(tmp_path / "dots.onnx").read_bytes()
    sha256 = hashlib.sha256(files.content).hexdigest()
    image = draw([standing(100, 120, 180)], (200, 240))
    for url in (files.url, f"{files.url}#sha256={sha256}"):
        detector = open_detector(f"rtmpose:{url},boxes=whole-image", 1)
        assert len(detector.detect(np.asarray(image), 0)) == 1
    assert len(files.ranges) == 1
    with pytest.raises(InvalidInput, match="hexadecimal"):
        open_detector(f"rtmpose:{files.url}#sha256=xyz", 1)
