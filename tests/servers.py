"""Real servers for tests, and waiting for them."""

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
    """A real server on a free port, which the test may end; settings are POSELIFT_<NAME>. It
    answers a video when it is done, however busy the machine is, and logs no traceback."""
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0"]
    with tempfile.NamedTemporaryFile() as said, tempfile.TemporaryDirectory() as jobs:
        given = {
            "jobs_folder": jobs,
            "video_wait_s": 300,
            "min_free_mb": 0,
            "live_load": 1e6,
        } | settings
        variables = {f"POSELIFT_{name.upper()}": str(value) for name, value in given.items()}
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | variables, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            with httpx.Client(base_url=_address(process, Path(said.name)), timeout=300) as client:
                yield process, client
        finally:
            process.terminate()
            process.wait(timeout=30)
            text = Path(said.name).read_text()
        assert "Traceback" not in text, text


def _address(process: subprocess.Popen[bytes], said: Path) -> str:
    """Where the server listens; requests wait there until it answers."""
    while not (found := re.search(r"starting on (\S+) port (\d+)\n", said.read_text())):
        assert process.poll() is None, said.read_text()
        time.sleep(0.02)
    return f"http://{found[1]}:{found[2]}"


def in_a_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """A coroutine as a test, bounded in time."""

    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 60))

    run.__doc__ = test.__doc__
    return run


def until(ask: Callable[[], httpx.Response], status: int) -> httpx.Response:
    """Ask again, for up to 20 s, until the answer has this status."""
    end_s = time.monotonic() + 20
    while True:
        response = ask()
        if response.status_code == status:
            return response
        assert time.monotonic() < end_s, f"never {status}, last {response.text}"
        time.sleep(0.02)


def until_busy(client: httpx.Client) -> None:
    """Wait until the server works on another request, beside the one that asks."""
    end_s = time.monotonic() + 20
    while "poselift_requests_in_flight 2.0" not in client.get("/metrics").text:
        assert time.monotonic() < end_s
        time.sleep(0.02)
