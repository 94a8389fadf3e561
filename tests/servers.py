"""Real servers for tests."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx

from paths import ROOT

ServerStarter = Callable[..., AbstractContextManager[httpx.Client]]


@contextmanager
def served(**settings: object) -> Iterator[httpx.Client]:
    with server_process(**settings) as (process, client):
        yield client
        assert process.poll() is None


@contextmanager
def server_process(**settings: object) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """A server on a free port, which the test may end; settings are POSELIFT_<NAME>. POST /video
    waits long enough on a busy machine. Fails if the server logs a traceback."""
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0"]
    with tempfile.NamedTemporaryFile() as log, tempfile.TemporaryDirectory() as jobs:
        values = {
            "jobs_folder": jobs,
            "video_wait_s": 300,
            "min_free_mb": 0,
            "live_load": 1e6,
        } | settings
        variables = {f"POSELIFT_{name.upper()}": str(value) for name, value in values.items()}
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | variables, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            with httpx.Client(base_url=_url(process, Path(log.name)), timeout=300) as client:
                yield process, client
        finally:
            process.terminate()
            process.wait(timeout=30)
            text = Path(log.name).read_text()
        assert "Traceback" not in text, text


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that the server prints; requests wait there until it responds."""
    while not (match := re.search(r"starting on (\S+) port (\d+)\n", log.read_text())):
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
    return f"http://{match[1]}:{match[2]}"


def in_a_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """A coroutine as a test, with a timeout."""

    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 60))

    run.__doc__ = test.__doc__
    return run


def until(send: Callable[[], httpx.Response], status: int) -> httpx.Response:
    """Send a request again, for up to 20 s, until the response has this status."""
    end_s = time.monotonic() + 20
    while True:
        response = send()
        if response.status_code == status:
            return response
        assert time.monotonic() < end_s, f"never {status}, last {response.text}"
        time.sleep(0.02)


def until_busy(client: httpx.Client) -> None:
    """Wait until the server works on a request other than this one."""
    end_s = time.monotonic() + 20
    while "poselift_requests_in_flight 2.0" not in client.get("/metrics").text:
        assert time.monotonic() < end_s
        time.sleep(0.02)
