"""Fixtures that several tests share."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from model import H36M17, KeypointSequence, PersonMotion, PoseSequence, VideoResult, read_npz
from paths import DATA, ROOT
from servers import ServerStarter, served

# A machine with other work on it is slow, and no reason to fail.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    """A folder for networks.exported, which processes of one test run inherit and share."""
    if "TEST_NETWORKS" not in os.environ:
        folder = TemporaryDirectory(prefix="test-networks-")
        os.environ["TEST_NETWORKS"] = folder.name
        config.add_cleanup(folder.cleanup)


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


def _only(person: PersonMotion, rows: NDArray[np.int64]) -> PersonMotion:
    keypoints = replace(
        person.keypoints, xy=person.keypoints.xy[rows], confidence=person.keypoints.confidence[rows]
    )
    poses = replace(person.poses, xyz=person.poses.xyz[rows])
    frames, times_s, root = (of[rows] for of in (person.frames, person.times_s, person.root))
    sure = None if person.confidence is None else person.confidence[rows]
    return PersonMotion(person.id, frames, times_s, keypoints, poses, root, confidence=sure)


@pytest.fixture(scope="session")
def start_server() -> ServerStarter:
    """Gives a client of a real server process on a free port; settings are POSELIFT_<NAME>.
    Whatever its clients do, a server neither dies nor logs a traceback."""
    return served


@pytest.fixture(scope="session")
def jobs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps uploads and jobs."""
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="session")
def server(jobs_folder: Path, start_server: ServerStarter) -> Iterator[httpx.Client]:
    """One server for all tests that need no settings of their own."""
    with start_server(jobs_folder=jobs_folder) as client:
        yield client
