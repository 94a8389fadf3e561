"""`poselift serve`: what it prints when it is ready, and the file .env."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest

from paths import ROOT
from service.cli.serve import _banner
from service.errors import InvalidFields
from service.settings import DEPRECATED, read_settings


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Path]:
    """A server started in `folder`, and the file of its output."""
    output = folder / "output"
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0", *arguments]
    variables = {"PYTHONPATH": str(ROOT), "POSELIFT_JOBS_FOLDER": str(folder / "jobs")}
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | variables, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            yield output
        finally:
            process.terminate()
            process.wait(timeout=30)


def banner_in(output: Path) -> str:
    end_s = time.monotonic() + 120
    while "curl" not in (text := output.read_text()):
        assert time.monotonic() < end_s, text
        time.sleep(0.05)
    return text[text.index("poselift is ready") :]


def test_banner_is_printed_when_the_service_is_ready(tmp_path: Path) -> None:
    with serving(tmp_path) as output:
        banner = banner_in(output)
        url = banner.split()[4]
        assert httpx.get(f"{url}/health/ready").status_code == 200
    assert f"documentation: {url}/docs" in banner
    assert f"uploads and results: {tmp_path / 'jobs'}" in banner
    assert f"try: curl -F file=@YOUR_VIDEO.mp4 {url}/video" in banner


def test_banner_in_a_checkout_names_a_file_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command = _banner("127.0.0.1", 8000, Path("jobs")).splitlines()[-1]
    name = command.split("file=@")[1].split()[0]
    assert Path(name).is_file()


@pytest.mark.parametrize(
    ("host", "bound", "local"),
    [
        ("0.0.0.0", "http://0.0.0.0:80", "http://127.0.0.1:80"),
        ("::", "http://[::]:80", "http://[::1]:80"),
    ],
)
def test_banner_for_all_interfaces_names_every_address(host: str, bound: str, local: str) -> None:
    ready, interfaces, *others = _banner(host, 80, Path("jobs")).splitlines()
    assert f"ready on {bound} " in ready
    assert "all network interfaces" in interfaces
    here, there = (word for word in interfaces.split() if word.startswith("http"))
    assert here == local
    assert there not in (bound, local)
    assert all(local in line for line in others if "http" in line)


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The path of .env in the current folder; the environment is restored afterwards."""
    monkeypatch.chdir(tmp_path)
    with patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("POSELIFT_")]:
            del os.environ[name]
        yield tmp_path / ".env"


def test_env_file_is_read_after_the_environment(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file.write_text(
        "PUBLISHED_PORT=1\nPOSELIFT_PORT=9000\nPOSELIFT_MAX_FRAMES=7\n"
        "POSELIFT_CACHE=/somewhere  # a comment\n#POSELIFT_MODEL=none\n"
    )
    monkeypatch.setenv("POSELIFT_MAX_FRAMES", "8")
    settings = read_settings()
    assert (settings.port, settings.max_frames, settings.model) == (9000, 8, None)
    assert os.environ["POSELIFT_CACHE"] == "/somewhere"
    assert read_settings(port=1).port == 1


def test_unknown_setting_in_env_file_is_refused(env_file: Path) -> None:
    env_file.write_text("POSELIFT_PROT=9000\n")
    with pytest.raises(InvalidFields, match="POSELIFT_PROT: .* nearest is POSELIFT_PORT"):
        read_settings()


@pytest.mark.parametrize("old", DEPRECATED)
def test_deprecated_variable_sets_the_new_setting_and_is_logged(
    env_file: Path, caplog: pytest.LogCaptureFixture, old: str
) -> None:
    env_file.write_text(f"{old}=7\n")
    new = DEPRECATED[old]
    for _ in range(2):
        settings = read_settings()
        assert getattr(settings, new.removeprefix("POSELIFT_").lower()) == 7
    assert f"{old} is deprecated and will be removed; use {new}" in caplog.messages
    os.environ[old] = "0"
    with pytest.raises(InvalidFields, match=new):
        read_settings()


@pytest.mark.parametrize("old", DEPRECATED)
def test_deprecated_variable_beside_its_new_name_is_refused(env_file: Path, old: str) -> None:
    env_file.write_text(f"{old}=7\n{DEPRECATED[old]}=7\n")
    with pytest.raises(InvalidFields, match=f"{old}: is the old name of {DEPRECATED[old]}"):
        read_settings()
