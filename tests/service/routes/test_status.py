"""Models, versions, health, metrics, problem documents and the OpenAPI document."""

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from jobs_client import begin, ended
from model import Lifter
from paths import ONE
from servers import ServerStarter, until
from service.wire.openapi.examples import LIFT_BODY
from service.wire.openapi.responses import (
    JobReply,
    LiftReply,
    Models,
    Problem,
    Ready,
    Version,
    VideoReply,
)


@pytest.fixture(scope="module")
def openapi(server: httpx.Client) -> dict[str, Any]:
    document: dict[str, Any] = server.get("/openapi.json").json()
    return document


def test_models_are_described_by_their_metadata(server: httpx.Client, weights_file: Path) -> None:
    document = server.get("/models").json()
    Models.model_validate(document, strict=True)
    info = Lifter.load(weights_file).info
    assert document["default"] == info.name
    entry = next(model for model in document["models"] if model["name"] == info.name)
    assert entry["frames"] == info.frames
    assert entry["readouts"] == list(info.readouts)
    assert entry["metrics"] == dict(info.metrics)
    assert entry["licence"] == info.licence


def test_version(server: httpx.Client) -> None:
    Version.model_validate(server.get("/version").json(), strict=True)


def test_live(server: httpx.Client) -> None:
    assert server.get("/health/live").json() == {"status": "live"}


def test_ready_names_the_provider(server: httpx.Client) -> None:
    response = until(lambda: server.get("/health/ready"), 200)
    Ready.model_validate(response.json(), strict=True)
    assert response.json()["provider"].endswith("ExecutionProvider")


def metric(server: httpx.Client, line: str) -> float:
    text = server.get("/metrics").text
    return next((float(row.split()[-1]) for row in text.splitlines() if row.startswith(line)), 0.0)


def test_metrics_count_requests_and_frames(server: httpx.Client, openapi: dict[str, Any]) -> None:
    served = 'poselift_requests_total{method="POST",path="/lift",status="200"}'
    before = metric(server, served), metric(server, "poselift_frames_lifted_total")
    body = openapi["paths"]["/lift"]["post"]["requestBody"]["content"]["application/json"]
    frames = len(server.post("/lift", json=body["schema"]["examples"][0]).json()["frames"])
    after = metric(server, served), metric(server, "poselift_frames_lifted_total")
    assert after == (before[0] + 1, before[1] + frames)
    assert metric(server, "poselift_requests_in_flight") == 1
    assert metric(server, 'poselift_model_info{devices="cpu",name="poseformer-27"') == 1


def test_unknown_paths_add_no_metrics(server: httpx.Client) -> None:
    for number in range(3):
        server.get(f"/invented/{number}")
    assert "invented" not in server.get("/metrics").text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/lift/", 404),
        ("POST", "/lift%00", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/lift", 405),
        ("PUT", "/video", 405),
        ("POST", "/models", 405),
        ("BREW", "/lift", 405),
        ("GET", "/models?verbose=1", 422),
    ],
)
def test_errors_of_the_framework_are_problem_documents(
    server: httpx.Client, method: str, path: str, status: int
) -> None:
    response = server.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    Problem.model_validate(response.json(), strict=True)
    assert response.json()["status"] == status
    assert (response.headers.get("allow") is not None) == (status == 405)


def test_every_route_of_the_contract_is_described(openapi: dict[str, Any]) -> None:
    described = {
        (method.upper(), path) for path, methods in openapi["paths"].items() for method in methods
    }
    assert described == {
        ("POST", "/lift"),
        ("GET", "/streams"),
        ("DELETE", "/streams/{id}"),
        ("POST", "/video"),
        ("GET", "/jobs"),
        ("GET", "/jobs/{id}"),
        ("DELETE", "/jobs/{id}"),
        *(("GET", f"/jobs/{{id}}/{name}") for name in ("events", "result", "overlay")),
        *(("GET", path) for path in ("/models", "/version", "/metrics")),
        *(("GET", path) for path in ("/health/live", "/health/ready")),
    }


def test_errors_are_described_with_their_media_type(openapi: dict[str, Any]) -> None:
    for path in openapi["paths"].values():
        for operation in path.values():
            errors = {s: r for s, r in operation["responses"].items() if int(s) >= 400}
            assert errors
            for response in errors.values():
                assert list(response["content"]) == ["application/problem+json"]


def test_example_of_lift_is_a_real_response(server: httpx.Client, openapi: dict[str, Any]) -> None:
    operation = openapi["paths"]["/lift"]["post"]
    request = operation["requestBody"]["content"]["application/json"]["schema"]["examples"][0]
    example = openapi["components"]["schemas"]["LiftReply"]["examples"][0]
    LiftReply.model_validate(example, strict=True)
    response = server.post("/lift", json=request)
    assert response.status_code == 200
    document = response.json()
    assert structure(document) == structure(example)
    for name in ("model", "keypoints", "applied"):
        assert document[name] == example[name]
    for name in ("poses", "confidence"):
        np.testing.assert_allclose(document[name], example[name], atol=0.002)


def test_room_of_the_video_example_is_a_real_response(
    server: httpx.Client, openapi: dict[str, Any]
) -> None:
    example = openapi["components"]["schemas"]["VideoReply"]["examples"][0]
    document = server.post("/lift", json={**LIFT_BODY, "space": "world"}).json()
    np.testing.assert_allclose(document["root"], example["people"][0]["root"], atol=0.002)
    for name in ("rotation", "camera_height_m"):
        np.testing.assert_allclose(document["room"][name], example["room"][name], atol=0.002)
    assert document["room"]["assumes"] == example["room"]["assumes"]


def structure(value: Any) -> Any:
    """The names of objects at every depth, without values and lists."""
    if isinstance(value, dict):
        return {name: structure(inner) for name, inner in value.items()}
    return None


def test_examples_of_video_and_job_have_the_fields_of_real_responses(
    server: httpx.Client, openapi: dict[str, Any]
) -> None:
    examples = {
        name: openapi["components"]["schemas"][name]["examples"][0]
        for name in ("VideoReply", "JobReply")
    }
    VideoReply.model_validate(examples["VideoReply"], strict=True)
    JobReply.model_validate(examples["JobReply"], strict=True)
    # FastAPI omits nulls of examples: the example of a job sets both
    path = begin(server, ONE.read_bytes(), "focal_px=1100&height_m=1.8")
    job = server.get(path).json()
    server.delete(path)
    assert structure(job) == structure(examples["JobReply"])
    assert job["options"] == examples["JobReply"]["options"]
    path = begin(server, ONE.read_bytes())
    job = ended(server, path)
    video = server.get(f"{path}/result").json()
    named = {name: job[name] for name in ("id", "links")}
    assert structure(named | video) == structure(examples["VideoReply"])
    assert structure(video["people"][0]) == structure(examples["VideoReply"]["people"][0])
    video["applied"]["focal_px"] = examples["VideoReply"]["applied"]["focal_px"]
    for name in ("detector", "model", "applied"):
        assert video[name] == examples["VideoReply"][name]


def test_example_of_a_problem_is_a_real_response(
    server: httpx.Client, openapi: dict[str, Any]
) -> None:
    example = openapi["components"]["schemas"]["Problem"]["examples"][0]
    frame = LIFT_BODY["keypoints"][0]
    bad = [*frame[:5], [1e300, 0, 1], *frame[6:]]
    response = server.post("/lift", json={**LIFT_BODY, "keypoints": [frame, bad]})
    assert response.json() == example


def test_not_ready_if_the_detector_cannot_be_opened(
    start_server: ServerStarter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response states the reason; lifting still works."""
    (tmp_path / "mediapipe.py").write_text("raise ImportError('no libGL')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with start_server() as client:
        response = until(lambda: client.get("/health/ready"), 503)
        while "warmed up" in response.text or "is starting" in response.text:
            response = client.get("/health/ready")
        assert (response.status_code, response.json()["title"]) == (503, "Not ready")
        assert "libGL" in response.json()["detail"]
        assert client.post("/lift", json=LIFT_BODY).status_code == 200
