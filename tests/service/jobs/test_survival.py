"""Jobs survive a killed server, lost workers and exceeded limits."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from films import film
from jobs_client import ONE, TWO, at_work, at_work_on, begin, ended, newest, send, workers
from paths import CLIPS, ROOT
from servers import ServerStarter, server_process


def test_jobs_survive_a_killed_server(tmp_path: Path) -> None:
    """With one job done, one running and one queued: each succeeds once, and the result of the
    first is kept."""
    settings = {"jobs_folder": tmp_path, "videos_at_once": 1}
    with server_process(**settings) as (process, client):
        done = begin(client, film(), idempotency_key="done")
        assert ended(client, done)["status"] == "succeeded"
        result = client.get(f"{done}/result").content
        running, queued = begin(client, ONE), begin(client, film())
        at_work(client, running)
        orphans = workers(psutil.Process(process.pid))
        process.kill()
        psutil.wait_procs(orphans, timeout=10)
        assert not any(orphan.is_running() for orphan in orphans)
    (tmp_path / "incoming" / "broken.upload").write_bytes(b"a partial upload")
    (tmp_path / "media" / "orphan").mkdir()
    with server_process(**settings) as (_, client):
        assert re.fullmatch(
            f"poselift: .*another server uses {tmp_path}.*\n", start_second_server(tmp_path)
        )
        assert client.get(f"{done}/result").content == result
        for path in (running, queued):
            assert ended(client, path)["status"] == "succeeded"
            assert client.get(f"{path}/result").status_code == 200
        assert send(client, film(), idempotency_key="done").headers["location"] == done
        assert len(client.get("/jobs").json()["jobs"]) == 3
        metrics = client.get("/metrics").text
        assert 'poselift_jobs_ended_total{status="succeeded"} 2.0' in metrics
        assert 'poselift_jobs{status="succeeded"} 3.0' in metrics
    assert list(tmp_path.glob("incoming/*")) == []
    assert {path.name for path in (tmp_path / "media").iterdir()} == {
        path.rpartition("/")[2] for path in (done, running, queued)
    }
    assert list(tmp_path.glob("media/*/attempt-*")) == []


CALLER = """
import httpx, sys
with open(sys.argv[2], "rb") as file:
    print(httpx.post(sys.argv[1], files={"file": file}, timeout=120).status_code)
"""


@pytest.mark.long
def test_video_that_outlasts_its_attempts_fails(tmp_path: Path) -> None:
    """SIGTERM answers waiting requests and does not count; SIGKILL uses up the one attempt."""
    settings = {"jobs_folder": tmp_path, "job_attempts": 1}
    with server_process(**settings) as (process, client):
        caller = subprocess.Popen(
            [
                sys.executable,
                "-c",
                CALLER,
                str(client.base_url.join("/video")),
                CLIPS / "two_people.mp4",
            ],
            stdout=subprocess.PIPE,
        )
        path = newest(client, 1)
        at_work(client, path)
        process.terminate()
        assert caller.communicate(timeout=30)[0] == b"202\n"
        assert process.wait(timeout=30) == -signal.SIGTERM
    with server_process(**settings) as (process, client):
        at_work(client, path)
        process.kill()
    with server_process(**settings) as (_, client):
        job = client.get(path).json()
        assert (job["status"], job["error"]["title"]) == ("failed", "Worker lost")
        assert "ended 1 times while it worked" in job["error"]["detail"]
        assert client.get(f"{path}/result").json() == job["error"]


def start_second_server(folder: Path) -> str:
    """The error of a second server on the same folder."""
    second = subprocess.run(
        [sys.executable, "-m", "service.cli", "serve", "--port", "0"],
        cwd=ROOT,
        env=os.environ | {"POSELIFT_JOBS_FOLDER": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 1
    return second.stderr


@pytest.fixture(scope="module")
def impatient_process() -> Iterator[tuple[psutil.Process, httpx.Client]]:
    with server_process(job_stall_s=6, videos_at_once=1) as (process, client):
        yield psutil.Process(process.pid), client


@pytest.fixture
def impatient(impatient_process: tuple[psutil.Process, httpx.Client]) -> httpx.Client:
    return impatient_process[1]


@pytest.mark.parametrize(
    ("kill_signal", "message"),
    [(signal.SIGKILL, "killed .SIGKILL."), (signal.SIGSTOP, "no progress for 6 s")],
)
def test_lost_worker_fails_its_job_and_the_next_job_runs(
    impatient: httpx.Client, kill_signal: signal.Signals, message: str
) -> None:
    path, after = begin(impatient, TWO), begin(impatient, film())
    at_work_on(at_work(impatient, path)).send_signal(kill_signal)
    job = ended(impatient, path)
    assert (job["error"]["status"], job["error"]["title"]) == (500, "Worker lost")
    assert re.search(message, job["error"]["detail"])
    assert ended(impatient, after)["status"] == "succeeded"


def test_crash_of_a_worker_makes_the_video_unreadable(impatient: httpx.Client) -> None:
    path = begin(impatient, TWO)
    at_work_on(at_work(impatient, path)).send_signal(signal.SIGSEGV)
    assert ended(impatient, path)["error"]["title"] == "Unreadable video"


def test_killed_upload_checker_is_replaced(
    impatient_process: tuple[psutil.Process, httpx.Client],
) -> None:
    """Unlike a worker, the process that opens uploads has the priority of the server."""
    server, impatient = impatient_process
    (checker,) = [process for process in workers(server) if process.nice() == server.nice()]
    checker.kill()
    checker.wait()
    assert send(impatient, film()).status_code == 200


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"job_memory_mb": 150}, "more memory than a job may, 150 MB"),
        ({"job_cpu_s": 0.3}, "more CPU time than a job may, 0.3 s"),
    ],
)
def test_job_over_a_limit_fails(
    start_server: ServerStarter, limits: dict[str, Any], message: str
) -> None:
    with start_server(**limits) as client:
        response = send(client, TWO)
        assert (response.status_code, response.json()["title"]) == (422, "Over the limit of a job")
        assert message in response.json()["detail"]
