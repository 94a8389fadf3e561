"""The CPU image, built and run as `docker compose up` does; `make docker-test` runs this.

Needs a Docker engine with compose 2.24 or later. PYTHON_IMAGE names another base image, PIP_CONFIG
a pip.conf, where the usual ones cannot be reached.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from jobs_client import TWO, at_work, begin, ended, send
from paths import ROOT

pytestmark = pytest.mark.docker

PROJECT = {"COMPOSE_PROJECT_NAME": "poselift-test", "PUBLISHED_PORT": "0"}
GIGABYTE = 1e9
SIGTERM_TAKEN = 128 + 15
"""Exit status of a server that has put everything in order, and then lets the signal end it."""


def docker(*words: str) -> str:
    """What a command prints; its errors are the test's."""
    done = subprocess.run(
        ["docker", *words], cwd=ROOT, env=os.environ | PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert done.returncode == 0, f"docker {' '.join(words)}: {done.stdout}"
    return done.stdout.strip()


def compose(*words: str) -> str:
    return docker("compose", "--progress", "quiet", *words)


def inside(*words: str) -> str:
    return compose("exec", "-T", "poselift", *words)


def up() -> httpx.Client:
    """A client of the service, which is ready: a new container takes a port of its own."""
    start_s = time.monotonic()
    compose("up", "--wait", "--no-build")
    print(f"\nready after {time.monotonic() - start_s:.1f} s", end=" ", flush=True)
    return httpx.Client(base_url=f"http://{compose('port', 'poselift', '8000')}", timeout=300)


@pytest.fixture(scope="module", autouse=True)
def built() -> Iterator[None]:
    """The image; at the end nothing of the containers and volumes is left."""
    start_s = time.monotonic()
    compose("build", "--quiet")
    print(f"\nbuilt in {time.monotonic() - start_s:.1f} s")
    yield
    compose("down", "--volumes")


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with up() as client:
        yield client


def test_a_clip_has_two_people_and_outlives_its_container(client: httpx.Client) -> None:
    response = send(client, TWO, prefer="wait=300")
    assert response.status_code == 200, response.text
    assert [person["id"] for person in response.json()["people"]] == [1, 2]
    path = response.headers["location"]
    compose("restart")
    with up() as restarted:
        assert restarted.get(f"{path}/result").content == response.content
    compose("down")
    with up() as replaced:
        assert replaced.get(f"{path}/result").content == response.content


def test_sigterm_during_a_job_loses_nothing(client: httpx.Client) -> None:
    path = begin(client, TWO)
    at_work(client, path)
    container = compose("ps", "--quiet", "poselift")
    start_s = time.monotonic()
    compose("stop")
    print(f"stopped in {time.monotonic() - start_s:.1f} s", end=" ")
    assert docker("inspect", "--format", "{{.State.ExitCode}}", container) == str(SIGTERM_TAKEN)
    assert "Application shutdown complete" in compose("logs")
    with up() as restarted:
        assert restarted.get(path).json()["status"] in ("queued", "running")
        assert ended(restarted, path)["status"] == "succeeded"
        assert len(restarted.get(f"{path}/result").json()["people"]) == 2


@pytest.mark.usefixtures("client")
def test_the_container_can_do_little() -> None:
    assert inside("id", "--user") == "10001"
    assert inside("sh", "-c", "touch /opt/poselift/x 2>/dev/null || echo refused") == "refused"
    assert "Traceback" not in compose("logs")
    find = "for tool in gcc cc g++ ld make pip; do command -v $tool; done; true"
    assert inside("sh", "-c", find) == ""


@pytest.mark.usefixtures("client")
def test_the_image_says_what_is_in_it() -> None:
    listed = json.loads(inside("cat", "/opt/poselift/sbom.cdx.json"))["components"]
    parts = {part["name"] for part in listed}
    assert {"mediapipe", "onnxruntime", "fastapi"} <= parts
    assert parts.isdisjoint({"torch", "onnxruntime-gpu", "pip", "pytest"})
    size = int(docker("image", "inspect", "--format", "{{.Size}}", "poselift:cpu"))
    print(f"the image has {size / GIGABYTE:.2f} GB", end=" ")
