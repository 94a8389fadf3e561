"""The servers that `poselift bench` measures, each in its own process: ours, and POST /lift in
plain FastAPI (`python -m service.bench.servers`), which only reads and writes JSON.
"""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import psutil
import uvicorn
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel

from model import PoseError

START_S = 120.0
JOINTS = 17
Numbers = list[list[list[float]]]


@dataclass(frozen=True)
class Server:
    """`process` is the server's own, without its workers."""

    url: str
    process: psutil.Process

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def overhead_cpu_s(self) -> float:
        """CPU time less what the server counts as lifting: right after a wait, with cold caches,
        lifting costs twice as much as in a loop."""
        return self.cpu_s() - self._metric("poselift_lifting_cpu_seconds_total")

    def _metric(self, name: str) -> float:
        families = text_string_to_metric_families(httpx.get(f"{self.url}/metrics").text)
        return next(s.value for family in families for s in family.samples if s.name == name)


@contextmanager
def service_process(settings: Mapping[str, object]) -> Iterator[Server]:
    """The service on a free port, which prints its URL when it is ready; `settings` are
    POSELIFT_<NAME>. Raises PoseError."""
    with TemporaryDirectory(prefix="poselift-bench-jobs-") as jobs:
        values = {"jobs_folder": jobs, **settings}
        variables = {f"POSELIFT_{name.upper()}": str(value) for name, value in values.items()}
        with server_process(["service.cli", "serve", "--port", "0"], variables) as server:
            yield server


@contextmanager
def server_process(
    module: list[str], variables: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """`python -m module ...`, which prints its URL. Raises PoseError if it does not start."""
    with TemporaryDirectory(prefix="poselift-bench-log-") as folder:
        log = Path(folder) / "log.txt"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                env=os.environ | dict(variables or {}),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield Server(_url(process, log), psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(timeout=60)


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    end_s = time.monotonic() + START_S
    while not (match := re.search(r"http://[\w.:\[\]]+:\d+", log.read_text())):
        if process.poll() is not None or time.monotonic() > end_s:
            raise PoseError(f"the server to be measured did not start: {log.read_text().strip()}")
        time.sleep(0.05)
    return match[0]


class Body(BaseModel):
    keypoints: Numbers
    skeleton: str
    image_size: list[int]
    fps: float


class Result(BaseModel):
    model: dict[str, str]
    skeleton: str
    frames: list[int]
    poses: Numbers
    keypoints: Numbers
    final: list[bool]
    warnings: list[str]


def plain_app() -> FastAPI:
    """POST /lift with dicts written by FastAPI, by pydantic, and with typed lists."""
    app = FastAPI()

    @app.post("/dicts", response_model=None)
    def dicts(body: dict[str, Any]) -> dict[str, Any]:
        return _document(body["keypoints"], body["skeleton"])

    @app.post("/declared")
    def declared(body: dict[str, Any]) -> dict[str, Any]:
        return _document(body["keypoints"], body["skeleton"])

    @app.post("/typed")
    def typed(body: Body) -> Result:
        return Result(**_document(body.keypoints, body.skeleton))

    return app


def _document(rows: Numbers, skeleton: str) -> dict[str, Any]:
    """The result of POST /lift, with random poses."""
    keypoints = np.asarray(rows, np.float64)
    poses = np.random.default_rng(0).normal(size=(len(keypoints), JOINTS, 3)).astype(np.float32)
    return {
        "model": {"name": "none", "version": "0"},
        "skeleton": skeleton,
        "frames": list(range(len(keypoints))),
        "poses": poses.tolist(),
        "keypoints": keypoints.tolist(),
        "final": [True] * len(keypoints),
        "warnings": [],
    }


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(plain_app(), log_level="info")).run(sockets=[listener])
