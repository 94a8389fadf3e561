"""Fixtures that several tests share."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from model import H36M17, KeypointSequence, PersonMotion, PoseSequence, VideoResult, read_npz

# A machine with other work on it is slow, and no reason to fail.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(__file__).resolve().parent / "data"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def recordings_file() -> Path:
    """A few seconds of real motion capture of two people, in the project's own layout."""
    return DATA / "recordings.npz"


@pytest.fixture(scope="session")
def weights_file() -> Path:
    """The weights that ship."""
    return ROOT / "weights" / "poseformer-27.onnx"


@pytest.fixture(scope="session")
def real_result() -> VideoResult:
    """What poselift makes of clips/two_people.mp4, stored: 75 frames at 30 fps, people 1 and 2."""
    return read_npz(DATA / "two_people.npz")


@pytest.fixture(scope="session")
def gappy_result(real_result: VideoResult) -> VideoResult:
    """The same film; person 1 is away in frames 20 to 39, person 2 comes at frame 10 for one."""
    first, second = real_result.people
    here = np.r_[0:20, 40:75]
    return replace(real_result, people=(_only(first, here), _only(second, np.array([10]))))


@pytest.fixture(scope="session")
def recorded(real_result: VideoResult, recordings_file: Path) -> PersonMotion:
    """Real motion capture, limbs of constant length, as if it were person 1 of a video."""
    with np.load(recordings_file) as arrays:
        end = arrays["offsets"][1]
        xyz = arrays["pos"][:end] * float(arrays["scale"])
    poses = PoseSequence(np.float32((xyz - xyz[:, :1]) * (1, -1, -1)), 50)
    unseen = np.zeros((end, 17, 2), np.float32)
    keypoints = KeypointSequence(unseen, unseen[..., 0], (1, 1), 50, H36M17)
    root = np.zeros((end, 3), np.float32)
    return PersonMotion(1, np.arange(end), np.arange(end) / 50, keypoints, poses, root)


def y_up(poses: PoseSequence) -> NDArray[np.float64]:
    """(T, 17, 3) m: x right, y up, z towards the camera, as motion files have it."""
    x, y, z = np.moveaxis(poses.xyz.astype(np.float64), -1, 0)
    if poses.space == "world":
        return np.stack([x, y, z], axis=-1)
    return np.stack([x, -y, -z], axis=-1)


def _only(person: PersonMotion, rows: NDArray[np.int64]) -> PersonMotion:
    keypoints = replace(
        person.keypoints, xy=person.keypoints.xy[rows], confidence=person.keypoints.confidence[rows]
    )
    poses = replace(person.poses, xyz=person.poses.xyz[rows])
    frames, times_s, root = (of[rows] for of in (person.frames, person.times_s, person.root))
    sure = None if person.confidence is None else person.confidence[rows]
    return PersonMotion(person.id, frames, times_s, keypoints, poses, root, confidence=sure)


ServerStarter = Callable[..., AbstractContextManager[httpx.Client]]


@contextmanager
def _served(**settings: object) -> Iterator[httpx.Client]:
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
    """What the server says that it answers on, once it does."""
    while not (found := re.search(r"http://\S+:\d+", said.read_text())):
        assert process.poll() is None, said.read_text()
        time.sleep(0.02)
    return found[0]


@pytest.fixture(scope="session")
def start_server() -> ServerStarter:
    """Gives a client of a real server process on a free port; settings are POSELIFT_<NAME>.
    Whatever its clients do, a server neither dies nor logs a traceback."""
    return _served


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


@pytest.fixture(scope="session")
def jobs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps uploads and jobs."""
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="session")
def server(jobs_folder: Path, start_server: ServerStarter) -> Iterator[httpx.Client]:
    """One server for all tests that need no settings of their own."""
    with start_server(jobs_folder=jobs_folder) as client:
        yield client
