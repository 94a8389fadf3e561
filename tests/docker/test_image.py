"""The CPU image, built and run as by `docker compose up`; `make docker-test` runs this.

Needs a Docker engine with compose 2.24 or later. Without access to Docker Hub or PyPI, PYTHON_IMAGE
names another base image and PIP_CONFIG a pip.conf.
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
SIGTERM_STATUS = 128 + 15
"""Exit status of a server that shut down cleanly and then let the signal end it."""


def docker(*words: str) -> str:
    """The output of a docker command, which must succeed."""
    run = subprocess.run(
        ["docker", *words], cwd=ROOT, env=os.environ | PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert run.returncode == 0, f"docker {' '.join(words)}: {run.stdout}"
    return run.stdout.strip()


def compose(*words: str) -> str:
    return docker("compose", "--progress", "quiet", *words)


def inside(*words: str) -> str:
    return compose("exec", "-T", "poselift", *words)


def up() -> httpx.Client:
    """A client of the service, once it is ready; each container has another port."""
    start_s = time.monotonic()
    compose("up", "--wait", "--no-build")
    print(f"\nready after {time.monotonic() - start_s:.1f} s", end=" ", flush=True)
    return httpx.Client(base_url=f"http://{compose('port', 'poselift', '8000')}", timeout=300)


@pytest.fixture(scope="module", autouse=True)
def built() -> Iterator[None]:
    """Build the image; at the end remove containers and volumes."""
    start_s = time.monotonic()
    compose("build", "--quiet")
    print(f"\nbuilt in {time.monotonic() - start_s:.1f} s")
    yield
    compose("down", "--volumes")


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with up() as client:
        yield client


def test_result_survives_restarted_and_replaced_container(client: httpx.Client) -> None:
    response = send(client, TWO, prefer="wait=300")
    assert response.status_code == 200, response.text
    assert [person["id"] for person in response.json()["people"]] == [1, 2]
    path = response.headers["location"]
    compose("restart")
    with up() as restarted:
        result = restarted.get(f"{path}/result").json()
        assert result.items() < response.json().items()
    compose("down")
    with up() as replaced:
        assert replaced.get(f"{path}/result").json() == result


def test_job_interrupted_by_sigterm_ends_after_restart(client: httpx.Client) -> None:
    path = begin(client, TWO)
    at_work(client, path)
    container = compose("ps", "--quiet", "poselift")
    start_s = time.monotonic()
    compose("stop")
    print(f"stopped in {time.monotonic() - start_s:.1f} s", end=" ")
    assert docker("inspect", "--format", "{{.State.ExitCode}}", container) == str(SIGTERM_STATUS)
    assert "Application shutdown complete" in compose("logs")
    with up() as restarted:
        assert restarted.get(path).json()["status"] in ("queued", "running")
        assert ended(restarted, path)["status"] == "succeeded"
        assert len(restarted.get(f"{path}/result").json()["people"]) == 2


@pytest.mark.usefixtures("client")
def test_container_has_no_root_and_no_compiler() -> None:
    assert inside("id", "--user") == "10001"
    assert inside("sh", "-c", "touch /opt/poselift/x 2>/dev/null || echo refused") == "refused"
    assert "Traceback" not in compose("logs")
    find = "for tool in gcc cc g++ ld make pip; do command -v $tool; done; true"
    assert inside("sh", "-c", find) == ""


@pytest.mark.usefixtures("client")
def test_image_contains_its_package_list() -> None:
    components = json.loads(inside("cat", "/opt/poselift/sbom.cdx.json"))["components"]
    parts = {part["name"] for part in components}
    assert {"mediapipe", "onnxruntime", "fastapi"} <= parts
    assert parts.isdisjoint({"torch", "onnxruntime-gpu", "pip", "pytest"})
    size = int(docker("image", "inspect", "--format", "{{.Size}}", "poselift:cpu"))
    print(f"the image has {size / GIGABYTE:.2f} GB", end=" ")
