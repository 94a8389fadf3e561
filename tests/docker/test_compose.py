"""docker-compose.yml, the Dockerfile and the dashboard match each other and the service. Tests that
need a Docker engine are in test_image.py."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from paths import ROOT
from service.settings import Settings

DOCKER = ROOT / "docker"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [SERVICES["poselift"], SERVICES["gpu"]]
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
PROFILES = [(), ("gpu",), ("monitoring",), ("gpu", "monitoring")]


def default(text: object) -> str:
    """A value of docker-compose.yml with no variables set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(text))


@pytest.mark.parametrize("profiles", PROFILES, ids="-".join)
def test_docker_compose_accepts_every_profile(profiles: tuple[str, ...]) -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"]).returncode:
        pytest.skip("docker compose is not here")
    chosen = [word for name in profiles for word in ("--profile", name)]
    command = ["docker", "compose", *chosen, "config", "--services"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert not result.stderr
    expected = {n for n, s in SERVICES.items() if set(s.get("profiles", profiles)) <= set(profiles)}
    assert set(result.stdout.split()) == expected


def test_only_the_cpu_service_has_no_profile() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["poselift"]
    assert SERVICES["poselift"]["environment"]["POSELIFT_DEVICE"] == "cpu"


def test_compose_images_match_dockerfile_stages() -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE)
    assert {service["build"]["target"] for service in OURS} <= {"cpu", "gpu", "mmpose", "train"}
    assert {"cpu", "gpu", "mmpose", "train"} <= set(stages)
    assert stages[-1] == "cpu"
    images = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)", DOCKERFILE, re.MULTILINE))
    for service in OURS:
        given = service["build"]["args"]
        assert {name: default(value) for name, value in given.items()} == images
    others = [SERVICES[name]["image"] for name in ("prometheus", "grafana")]
    assert all(re.search(r":\D*\d+\.\d+\.\d+", image) for image in [*images.values(), *others])


def test_containers_are_unprivileged_and_local() -> None:
    for service in SERVICES.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert all(default(port).startswith("127.0.0.1:") for port in service["ports"])
    finals = DOCKERFILE.split("# The images.")[1]
    assert re.findall(r"^USER (\S+)", finals, re.MULTILINE) == ["10001", "10001"]


def test_compose_settings_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in OURS:
        given = {name: default(value) for name, value in service["environment"].items()}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        taken = Settings()
        known = {f"POSELIFT_{name.upper()}" for name in Settings.model_fields}
        assert given.keys() - known == {"POSELIFT_CACHE"}
        assert (ROOT / "weights" / f"{taken.default_model}.onnx").is_file()
        taken.check()
        monkeypatch.undo()


def test_jobs_folder_and_cache_are_volumes() -> None:
    for service in OURS:
        names, folders = zip(*(volume.split(":") for volume in service["volumes"]), strict=True)
        assert set(names) <= COMPOSE["volumes"].keys()
        environment = service["environment"]
        assert folders == (environment["POSELIFT_JOBS_FOLDER"], environment["POSELIFT_CACHE"])


def test_requirement_files_are_made_from_the_project(tmp_path: Path) -> None:
    command = [sys.executable, DOCKER / "pins.py", tmp_path / "pins"]
    subprocess.run(command, cwd=ROOT, check=True)
    made = {path.name for path in (tmp_path / "pins").iterdir()}
    assert set(re.findall(r"/pins/([\w-]+\.txt)", DOCKERFILE)) <= made
    (gpu,) = (tmp_path / "pins" / "gpu.txt").read_text().splitlines()
    assert re.fullmatch(r"onnxruntime-gpu>=[\d.]+,<\d+; sys_platform == 'linux'", gpu)
    locked = (tmp_path / "pins" / "constraints.txt").read_text()
    assert {"onnxruntime", "onnxruntime-gpu", "torch"} <= set(re.findall(r"^(.+?)==", locked, re.M))
    assert "://" not in locked


def test_prometheus_scrapes_both_services() -> None:
    scraped = yaml.safe_load((DOCKER / "monitoring" / "prometheus.yml").read_text())
    (found,) = scraped["scrape_configs"][0]["dns_sd_configs"]
    assert [SERVICES[name] for name in found["names"]] == OURS
    assert {service["environment"]["POSELIFT_PORT"] for service in OURS} == {found["port"]}


def test_dashboard_uses_existing_metrics(server: httpx.Client) -> None:
    text = server.get("/metrics").text
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)", text, re.MULTILINE))
    parts = ("_bucket", "_sum", "_count")
    measured = {
        f"{name}{part}"
        for name, kind in kinds.items()
        for part in (parts if kind == "histogram" else ("",))
    }
    dashboard = json.loads((DOCKER / "monitoring" / "poselift.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    used = set(re.findall(r"poselift_\w+", " ".join(queries)))
    assert len(used) > 10
    assert used <= measured


def test_hadolint_accepts_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    subprocess.run([hadolint, DOCKER / "Dockerfile"], check=True)
