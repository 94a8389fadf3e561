"""Requests about jobs, for tests."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil

import paths
from service.wire.openapi.responses import JobReply

ONE = paths.ONE.read_bytes()
TWO = paths.TWO.read_bytes()
ASYNC = {"prefer": "respond-async"}
Document = dict[str, Any]


def send(client: httpx.Client, content: bytes, query: str = "", **headers: str) -> httpx.Response:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"/video?{query}", files={"file": content}, headers=headers)


def begin(client: httpx.Client, content: bytes = ONE, query: str = "", **headers: str) -> str:
    """Submit a video; the path of its job."""
    response = send(client, content, query, **(ASYNC | headers))
    assert response.status_code == 202, response.text
    assert response.headers["preference-applied"] == "respond-async"
    JobReply.model_validate(response.json(), strict=True)
    assert response.headers["location"] == response.json()["links"]["self"]
    path: str = response.headers["location"]
    return path


def events(client: httpx.Client, path: str) -> Iterator[Document]:
    with client.stream("GET", f"{path}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def at_work(client: httpx.Client, path: str) -> Document:
    """The job, once a worker has reported its first frames."""
    return next(d for d in events(client, path) if d["progress"]["stage"] == "detecting")


def ended(client: httpx.Client, path: str) -> Document:
    """The job at its end."""
    *_, last = events(client, path)
    return last


def newest(client: httpx.Client, jobs: int) -> str:
    """The path of the newest job, once there are `jobs` of them."""
    end_s = time.monotonic() + 60
    while len(listed := client.get("/jobs").json()["jobs"]) < jobs:
        assert time.monotonic() < end_s
        time.sleep(0.05)
    path: str = listed[0]["links"]["self"]
    return path


def workers(process: "psutil.Process | None" = None) -> list[psutil.Process]:
    """The worker processes below this process, newest last."""
    children = (process or psutil.Process()).children(recursive=True)
    found = [child for child in children if "service.jobs.worker" in " ".join(child.cmdline())]
    return sorted(found, key=lambda worker: worker.create_time())


def at_work_on(job: Document) -> psutil.Process:
    """The worker that has the job's video open."""
    for worker in workers():
        if any(job["id"] in file.path for file in worker.open_files()):
            return worker
    raise AssertionError("no worker has the video open")
