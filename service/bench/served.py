"""A real server in a process of its own, and the CPU time that it takes."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from model import PoseError

START_S = 120.0


@dataclass(frozen=True)
class Served:
    """`process` is the server's own; its workers are others."""

    url: str
    process: psutil.Process

    def cpu_s(self) -> float:
        used = self.process.cpu_times()
        return float(used.user + used.system)

    def besides_lifting_s(self) -> float:
        """CPU time less what the server's threads took for lifting, by its own account: lifting
        costs twice as much right after a wait as in a loop of its own, where caches know it."""
        return self.cpu_s() - self._counted("poselift_lifting_cpu_seconds_total")

    def _counted(self, name: str) -> float:
        families = text_string_to_metric_families(httpx.get(f"{self.url}/metrics").text)
        return next(
            sample.value for one in families for sample in one.samples if sample.name == name
        )


@contextmanager
def served(settings: Mapping[str, object]) -> Iterator[Served]:
    """The service on a free port, ready; `settings` are POSELIFT_<NAME>. Raises PoseError."""
    with TemporaryDirectory(prefix="poselift-served-") as jobs:
        given = {"jobs_folder": jobs, **settings}
        variables = {f"POSELIFT_{name.upper()}": str(value) for name, value in given.items()}
        with started(["service.cli", "serve", "--port", "0"], variables) as server:
            _until_ready(server)
            yield server


@contextmanager
def started(module: list[str], variables: Mapping[str, str] | None = None) -> Iterator[Served]:
    """`python -m module ...`, which says on which URL it answers. Raises PoseError."""
    with TemporaryDirectory(prefix="poselift-said-") as folder:
        said = Path(folder) / "said.txt"
        with said.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                env=os.environ | dict(variables or {}),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield Served(_address(process, said), psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(timeout=60)


def _address(process: subprocess.Popen[bytes], said: Path) -> str:
    end_s = time.monotonic() + START_S
    while not (found := re.search(r"http://[\w.:\[\]]+:\d+", said.read_text())):
        if process.poll() is not None or time.monotonic() > end_s:
            raise PoseError(f"the server to be measured did not start: {said.read_text().strip()}")
        time.sleep(0.05)
    return found[0]


def _until_ready(server: Served) -> None:
    end_s = time.monotonic() + START_S
    while not (answer := httpx.get(f"{server.url}/health/ready")).is_success:
        if time.monotonic() > end_s:
            raise PoseError(f"the server to be measured is not ready: {answer.text}")
        time.sleep(0.2)
