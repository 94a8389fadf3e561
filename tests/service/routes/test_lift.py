"""POST /lift through a real server: poses equal the library's, and bad input is rejected."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from model import SKELETONS, KeypointSequence, Lifter, LiftOptions, Skeleton, skeleton_named, smooth
from servers import ServerStarter, until, until_busy
from service.wire.openapi.examples import LIFT_BODY
from service.wire.openapi.responses import LiftReply

PROBLEM = "application/problem+json"
Body = dict[str, Any]


@pytest.fixture(scope="module")
def lifter(weights_file: Path) -> Lifter:
    return Lifter.load(weights_file)


def walk(skeleton: Skeleton, frames: int, seed: int = 0) -> KeypointSequence:
    """A synthetic person who moves, in float32 so that JSON is exact."""
    rng = np.random.default_rng(seed)
    joints = len(skeleton.joints)
    start = rng.uniform(300, 700, (1, joints, 2))
    xy = start + np.cumsum(rng.normal(0, 3, (frames, joints, 2)), axis=0)
    score = rng.uniform(0.2, 1, (frames, joints)).astype(np.float32)
    return KeypointSequence(xy.astype(np.float32), score, (1280, 720), 50.0, skeleton)


def body_of(sequence: KeypointSequence) -> Body:
    rows = np.concatenate([sequence.xy, sequence.confidence[..., None]], axis=-1)
    return {
        "keypoints": rows.tolist(),
        "skeleton": sequence.skeleton.name,
        "image_size": list(sequence.image_size),
        "fps": sequence.fps,
    }


def valid_body(frames: int = 3) -> Body:
    return body_of(walk(skeleton_named("coco17"), frames))


def lifted(server: httpx.Client, body: Body) -> Body:
    response = server.post("/lift", json=body)
    assert response.status_code == 200, response.text
    result: Body = response.json()
    LiftReply.model_validate(result, strict=True)
    return result


def test_spaces_camera_and_world_return_root_and_room(server: httpx.Client) -> None:
    plain, camera, world = (
        lifted(server, LIFT_BODY | {"space": space}) for space in ("root", "camera", "world")
    )
    assert "root" not in plain and "room" not in plain and "room" not in camera
    root = np.array(camera["root"])[:, None]
    np.testing.assert_allclose(camera["poses"], np.array(plain["poses"]) + root, atol=1e-5)
    rays = (np.array(LIFT_BODY["keypoints"])[..., :2] - (540, 960)) / 1920
    xyz = np.array(camera["poses"])
    assert np.abs(xyz[..., :2] / xyz[..., 2:] - rays).mean() < 0.02
    room = world["room"]
    expected = xyz @ np.array(room["rotation"]).T + (0, room["camera_height_m"], 0)
    np.testing.assert_allclose(world["poses"], expected, atol=1e-5)


def test_stream_rejects_spaces_other_than_root(server: httpx.Client) -> None:
    response = server.post("/lift", json=LIFT_BODY | {"stream": "placed", "space": "camera"})
    assert response.status_code == 422
    assert "space must be root in a stream" in response.json()["detail"]


def assert_poses(result: Body, expected: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(np.float32(result["poses"]), expected, atol=1e-5)


@pytest.mark.parametrize("name", SKELETONS)
def test_poses_equal_the_library(server: httpx.Client, lifter: Lifter, name: str) -> None:
    sequence = walk(skeleton_named(name), 40)
    result = lifted(server, body_of(sequence))
    assert_poses(result, lifter.lift(sequence).xyz)
    as_lifted = sequence.to_h36m17()
    keypoints = np.float32(result["keypoints"])
    np.testing.assert_array_equal(keypoints[..., :2], as_lifted.xy)
    np.testing.assert_array_equal(keypoints[..., 2], as_lifted.confidence)
    assert result["model"] == {"name": lifter.name, "version": lifter.version}
    assert result["skeleton"] == "h36m17"
    assert result["frames"] == list(range(40))
    assert result["final"] == [True] * 40
    assert result["warnings"] == []


def test_nothing_is_applied_by_default(server: httpx.Client) -> None:
    applied = lifted(server, valid_body())["applied"]
    changes = {name: applied[name] for name in ("readout", "flip", "smoothing", "repair")}
    assert changes == {"readout": "centre", "flip": False, "smoothing": "none", "repair": False}


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"readout": "dense"}, LiftOptions(readout="dense")),
        ({"flip": True}, LiftOptions(flip=True)),
        ({"focal_px": 900}, LiftOptions(focal_px=900.0)),
        ({"height_m": 1.9}, LiftOptions(height_m=1.9)),
    ],
)
def test_options_are_passed_to_the_lifter(
    server: httpx.Client, lifter: Lifter, fields: Body, options: LiftOptions
) -> None:
    sequence = walk(skeleton_named("h36m17"), 30)
    result = lifted(server, body_of(sequence) | fields)
    assert_poses(result, lifter.lift(sequence, options).xyz)
    assert fields.items() <= result["applied"].items()


@pytest.mark.parametrize("kind", ["one_euro", "butterworth", "gaussian"])
def test_smoothing_equals_the_library(server: httpx.Client, lifter: Lifter, kind: str) -> None:
    sequence = walk(skeleton_named("h36m17"), 30)
    result = lifted(server, body_of(sequence) | {"smoothing": kind})
    smoothed = smooth(lifter.lift(sequence), kind)
    assert_poses(result, smoothed.xyz)


def test_null_is_an_unseen_joint_or_frame(server: httpx.Client, lifter: Lifter) -> None:
    sequence = walk(skeleton_named("h36m17"), 9)
    score = sequence.confidence.copy()
    score[2, 4], score[5] = 0, 0
    hidden = KeypointSequence(sequence.xy, score, sequence.image_size, 50.0, sequence.skeleton)
    body = body_of(sequence)
    body["keypoints"][2][4] = None
    body["keypoints"][5] = None
    result = lifted(server, body)
    assert_poses(result, lifter.lift(hidden).xyz)
    assert result["keypoints"][2][4] is None
    assert result["keypoints"][5] == [None] * 17
    assert sum(row is None for frame in result["keypoints"] for row in frame) == 18
    assert result["warnings"] == ["no joint is seen in 1 of 9 frames: their poses are guessed"]


def test_missing_score_is_one(server: httpx.Client) -> None:
    body = valid_body()
    bare = [[row[:2] for row in frame] for frame in body["keypoints"]]
    sure = [[[*row[:2], 1] for row in frame] for frame in body["keypoints"]]
    mixed = [bare[0], sure[1], [*bare[2][:5], *sure[2][5:]]]
    results = [lifted(server, body | {"keypoints": rows}) for rows in (bare, sure, mixed)]
    assert results[0] == results[1] == results[2]


def test_one_frame_is_lifted(server: httpx.Client) -> None:
    assert np.float32(lifted(server, valid_body(1))["poses"]).shape == (1, 17, 3)


def test_frame_rate_outside_training_is_warned_about(server: httpx.Client) -> None:
    result = lifted(server, valid_body() | {"fps": 200})
    assert result["warnings"] == [
        "the model was trained for 24-60 frames/s, the input has 200; one frame in 4 was lifted, "
        "the poses between were interpolated"
    ]


def test_concurrent_requests_equal_separate_ones(server: httpx.Client) -> None:
    bodies = [body_of(walk(skeleton_named("coco17"), 5 + seed, seed)) for seed in range(8)]
    alone = [lifted(server, body) for body in bodies]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda body: lifted(server, body), bodies))
    for actual, expected in zip(together, alone, strict=True):
        assert_poses(actual, np.float32(expected["poses"]))


def keypoints(change: Callable[[list[Any]], object]) -> Callable[[Body], object]:
    """A change to the keypoints of a body."""
    return lambda body: change(body["keypoints"])


def setting(name: str, value: object) -> Callable[[Body], object]:
    return lambda body: body.__setitem__(name, value)


def cell(value: object, axis: int = 0) -> Callable[[Body], object]:
    """One number of the keypoints replaced."""
    return keypoints(lambda frames: frames[1][5].__setitem__(axis, value))


BAD_VALUES: dict[str, tuple[Callable[[Body], object], list[str | int]]] = {
    "boolean": (cell(True), ["keypoints", 1, 5, 0]),
    "string": (cell("12"), ["keypoints", 1, 5, 0]),
    "null number": (cell(None), ["keypoints", 1, 5, 0]),
    "boolean score": (cell(True, 2), ["keypoints", 1, 5, 2]),
    "1e300": (cell(1e300), ["keypoints", 1, 5, 0]),
    "beyond 1e6": (cell(-1_000_000.5, 1), ["keypoints", 1, 5, 1]),
    "score above 1": (cell(1.01, 2), ["keypoints", 1, 5, 2]),
    "score below 0": (cell(-0.01, 2), ["keypoints", 1, 5, 2]),
    "number deeper": (cell([1.0]), ["keypoints", 1, 5, 0]),
    "joint missing": (keypoints(lambda frames: frames[2].pop()), ["keypoints", 2]),
    "joint too many": (keypoints(lambda frames: frames[0].append([1, 2])), ["keypoints", 0]),
    "one number": (keypoints(lambda f: f[0].__setitem__(3, [1])), ["keypoints", 0, 3]),
    "four numbers": (keypoints(lambda f: f[0].__setitem__(3, [1] * 4)), ["keypoints", 0, 3]),
    "object row": (keypoints(lambda f: f[0].__setitem__(3, {})), ["keypoints", 0, 3]),
    "number frame": (keypoints(lambda frames: frames.append(7)), ["keypoints", 3]),
    "no frames": (setting("keypoints", []), ["keypoints"]),
    "null keypoints": (setting("keypoints", None), ["keypoints"]),
    "no keypoints": (lambda body: body.pop("keypoints"), ["keypoints"]),
    "no skeleton": (lambda body: body.pop("skeleton"), ["skeleton"]),
    "no image size": (lambda body: body.pop("image_size"), ["image_size"]),
    "no fps": (lambda body: body.pop("fps"), ["fps"]),
    "another skeleton": (setting("skeleton", "body25"), ["keypoints", 0]),
    "unknown skeleton": (setting("skeleton", "coco18"), ["skeleton"]),
    "unknown model": (setting("model", "poseformer-99"), ["model"]),
    "path as model": (setting("model", "../weights/poseformer-27"), ["model"]),
    "number as model": (setting("model", 27), ["model"]),
    "unknown field": (setting("room", "a"), ["room"]),
    "stream with a space": (setting("stream", "a b"), ["stream"]),
    "stream too long": (setting("stream", "a" * 65), ["stream"]),
    "first frame alone": (setting("first_frame", 3), ["first_frame"]),
    "image side 0": (setting("image_size", [0, 720]), ["image_size", 0]),
    "image side negative": (setting("image_size", [1280, -720]), ["image_size", 1]),
    "image side too long": (setting("image_size", [65537, 720]), ["image_size", 0]),
    "image side broken": (setting("image_size", [1280.5, 720]), ["image_size", 0]),
    "image side boolean": (setting("image_size", [True, 720]), ["image_size", 0]),
    "image side string": (setting("image_size", ["1280", 720]), ["image_size", 0]),
    "image size short": (setting("image_size", [1280]), ["image_size"]),
    "image size number": (setting("image_size", 1280), ["image_size"]),
    "fps 0": (setting("fps", 0), ["fps"]),
    "fps negative": (setting("fps", -25), ["fps"]),
    "fps too high": (setting("fps", 1000.1), ["fps"]),
    "fps boolean": (setting("fps", True), ["fps"]),
    "fps string": (setting("fps", "50"), ["fps"]),
    "unknown readout": (setting("readout", "last"), ["readout"]),
    "flip as number": (setting("flip", 1), ["flip"]),
    "unknown smoothing": (setting("smoothing", "kalman"), ["smoothing"]),
    "focal length 0": (setting("focal_px", 0), ["focal_px"]),
    "focal length boolean": (setting("focal_px", True), ["focal_px"]),
    "giant": (setting("height_m", 30), ["height_m"]),
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_bad_value_is_rejected_with_its_location(server: httpx.Client, name: str) -> None:
    change, where = BAD_VALUES[name]
    body = valid_body()
    change(body)
    response = server.post("/lift", json=body)
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == PROBLEM
    problem = response.json()
    assert problem.keys() == {"type", "title", "status", "detail", "errors"}
    assert problem["status"] == 422
    assert [error["location"] for error in problem["errors"]] == [where]


def test_unknown_model_error_lists_the_known_ones(server: httpx.Client) -> None:
    response = server.post("/lift", json=valid_body() | {"model": "gpt"})
    assert "known: poseformer-27" in response.json()["detail"]


def test_all_bad_values_are_reported_at_once(server: httpx.Client) -> None:
    response = server.post("/lift", json=valid_body() | {"fps": 0, "flip": None})
    assert [e["location"] for e in response.json()["errors"]] == [["flip"], ["fps"]]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\xff\xfe\x00",
        b'{"fps": 50,',
        b'{"fps": NaN}',
        b'{"fps": Infinity}',
        b"[" * 100_000,
        b'{"keypoints": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
    ids=["empty", "text", "bytes", "cut", "nan", "infinity", "deep", "deep keypoints", "deep map"],
)
def test_invalid_json_is_400(server: httpx.Client, content: bytes) -> None:
    response = server.post("/lift", content=content)
    assert (response.status_code, response.json()["title"]) == (400, "Not JSON")


@pytest.mark.parametrize("content", [b"[]", b"1", b'"lift"', b"null", b'{"fps": 1e999}'])
def test_json_that_is_no_object_is_422(server: httpx.Client, content: bytes) -> None:
    assert server.post("/lift", content=content).status_code == 422


def test_query_option_is_rejected_by_name(server: httpx.Client) -> None:
    response = server.post("/lift", params={"flip": "true"}, json=valid_body())
    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == ["flip"]


def test_million_frames_are_413(server: httpx.Client) -> None:
    frames = ",".join(["null"] * 1_000_000)
    body = json.dumps(valid_body() | {"keypoints": "?"}).replace('"?"', f"[{frames}]")
    response = server.post("/lift", content=body)
    assert response.status_code == 413
    assert "at most 100000 frames" in response.json()["detail"]


@pytest.fixture(scope="module")
def small_server(start_server: ServerStarter) -> Iterator[httpx.Client]:
    with start_server(max_body_mb=0.1, max_frames=5, max_lift_requests=1) as client:
        yield client


def test_frame_limit_is_the_setting(small_server: httpx.Client) -> None:
    assert small_server.post("/lift", json=valid_body(5)).status_code == 200
    assert small_server.post("/lift", json=valid_body(6)).status_code == 413


def test_long_body_is_413_before_it_arrives(small_server: httpx.Client) -> None:
    """A client that keeps sending, and asks to close the connection, still gets the response."""
    head = (
        b"POST /lift HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\nConnection: close\r\n\r\n"
    )
    url = small_server.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
        connection.sendall(head)
        for _ in range(50):
            connection.sendall(b"1" * 1_000_000)
        assert connection.recv(12) == b"HTTP/1.1 413"


def test_long_body_of_unknown_length_is_413(small_server: httpx.Client) -> None:
    parts = (b" " * 10_000 for _ in range(20))
    response = small_server.post("/lift", content=parts)
    assert response.status_code == 413
    assert "0.1 MB" in response.json()["detail"]


def test_more_than_may_wait_are_sent_away_for_now(small_server: httpx.Client) -> None:
    """One caller sends slowly and takes the one place; the next is told when to come back."""
    url = small_server.base_url
    head = b"POST /lift HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
    with socket.create_connection((url.host, url.port or 80)) as slow:
        slow.sendall(head)
        until_busy(small_server)
        busy = small_server.post("/lift", json=valid_body())
        assert busy.status_code == 503
        assert int(busy.headers["retry-after"]) > 0
        assert busy.json()["title"] == "Overloaded"
    until(lambda: small_server.post("/lift", json=valid_body()), 200)


def disconnected_clients(server: httpx.Client) -> float:
    pattern = r'requests_total{method="POST",path="/lift",status="499"} (\S+)'
    match = re.search(pattern, server.get("/metrics").text)
    return float(match[1]) if match else 0.0


def test_lifting_is_cancelled_when_its_client_has_left(server: httpx.Client) -> None:
    left = disconnected_clients(server)
    content = json.dumps(valid_body(8000)).encode()
    head = f"POST /lift HTTP/1.1\r\nHost: a\r\nContent-Length: {len(content)}\r\n\r\n"
    url = server.base_url
    with socket.create_connection((url.host, url.port or 80)) as leaving:
        leaving.sendall(head.encode() + content)
        until_busy(server)
    until(lambda: httpx.Response(200 if disconnected_clients(server) > left else 404), 200)
    assert "poselift_liftings_waiting 0.0" in server.get("/metrics").text
