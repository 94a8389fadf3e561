"""POST /lift with `stream`, through a real server: chunks equal the whole sequence."""

import io
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model import COCO17, KeypointSequence
from servers import ServerStarter, until
from service.wire.openapi.responses import LiftReply, StreamsReply
from synthetic import part, person

Body = dict[str, Any]
WHOLE = person(45, 3, COCO17)
PERSON_OPTIONS: Body = {"flip": True, "focal_px": 1500, "height_m": 1.9}


def body_of(sequence: KeypointSequence, **fields: Any) -> Body:
    rows = [[row if row[2] > 0 else None for row in frame] for frame in sequence.rows.tolist()]
    size = list(sequence.image_size)
    head = {"skeleton": sequence.skeleton.name, "image_size": size, "fps": sequence.fps}
    return {"keypoints": rows, **head, **fields}


def chunk(low: int, high: int, **fields: Any) -> Body:
    return body_of(part(WHOLE, slice(low, high)), **fields)


def ok(response: httpx.Response) -> Body:
    assert response.status_code == 200, response.text
    body: Body = response.json()
    LiftReply.model_validate(body, strict=True)
    return body


def ended(server: httpx.Client, id: str) -> Body:
    return ok(server.delete(f"/streams/{id}"))


def streamed(server: httpx.Client, id: str, cuts: list[int], **fields: Any) -> list[Body]:
    edges = sorted({0, len(WHOLE), *cuts})
    responses = [
        ok(server.post("/lift", json=chunk(*ends, stream=id, **fields))) for ends in pairwise(edges)
    ]
    return [*responses, ended(server, id)]


def picked(responses: list[Body], final: bool) -> dict[str, list[Any]]:
    """The frames, poses and keypoints that are final, or provisional."""
    picked: dict[str, list[Any]] = {"frames": [], "poses": [], "keypoints": []}
    for response in responses:
        for name, values in picked.items():
            pairs = zip(response[name], response["final"], strict=True)
            values += [value for value, is_final in pairs if is_final == final]
    return picked


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(1, 44), max_size=8),
    options=st.sampled_from([{}, PERSON_OPTIONS, {"smoothing": "one_euro"}]),
    lookahead=st.sampled_from([None, 0, 5, 13]),
)
def test_chunks_of_any_length_equal_the_whole_sequence(
    server: httpx.Client, cuts: list[int], options: Body, lookahead: int | None
) -> None:
    responses = streamed(server, "any", cuts, lookahead=lookahead, **options)
    whole = ok(server.post("/lift", json=body_of(WHOLE, **options)))
    final = picked(responses, final=True)
    np.testing.assert_allclose(final["poses"], whole["poses"], atol=2e-5)
    assert final["frames"] == whole["frames"]
    assert final["keypoints"] == whole["keypoints"]
    provisional = picked(responses, final=False)
    assert provisional["frames"] == ([] if lookahead is None else whole["frames"])
    assert provisional["keypoints"] == ([] if lookahead is None else whole["keypoints"])
    assert np.isfinite(np.array(provisional["poses"], np.float64)).all()


def test_frame_gets_a_provisional_and_a_final_pose(server: httpx.Client) -> None:
    responses = [
        ok(server.post("/lift", json=chunk(k, k + 1, stream="twice", lookahead=2)))
        for k in range(16)
    ]
    ended(server, "twice")
    assert responses[0]["frames"] == [] and responses[0]["delay_frames"] == 13
    assert responses[0]["delay_s"] == pytest.approx(13 / 30)
    assert responses[0]["applied"]["lookahead"] == 2
    assert (responses[2]["frames"], responses[2]["final"]) == ([0], [False])
    assert (responses[15]["frames"], responses[15]["final"]) == ([2, 13], [True, False])


def test_interleaved_streams_equal_separate_ones(server: httpx.Client) -> None:
    people = [person(30, seed, COCO17) for seed in (5, 6)]
    poses: list[list[Any]] = [[], []]
    for k in range(0, 30, 10):
        for n, whole in enumerate(people):
            body = body_of(part(whole, slice(k, k + 10)), stream=f"turn{n}", first_frame=k)
            poses[n] += ok(server.post("/lift", json=body))["poses"]
    for n, whole in enumerate(people):
        poses[n] += ended(server, f"turn{n}")["poses"]
        alone = ok(server.post("/lift", json=body_of(whole)))["poses"]
        np.testing.assert_allclose(poses[n], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first_frame": 0}, "the next first_frame of this stream is 5, got 0"),
        ({"first_frame": 6}, "the next first_frame of this stream is 5, got 6"),
        ({"fps": 25}, "fps may not change in a stream: it was 30.0, got 25.0"),
        ({"image_size": [640, 480]}, "image_size may not change"),
        ({"flip": True}, "flip may not change in a stream: it was False, got True"),
        ({"smoothing": "none"}, "smoothing may not change"),
        ({"lookahead": 1}, "lookahead may not change"),
        ({"height_m": 1.8}, "height_m may not change"),
        ({"model": "y" * 100_000}, f"it was 'poseformer-27', got '{'y' * 79}"),
        (body_of(person(1)), "skeleton may not change in a stream: it was 'coco17', got 'h36m17'"),
    ],
    ids=[
        "repeated",
        "gap",
        "fps",
        "size",
        "flip",
        "smoothing",
        "lookahead",
        "height",
        "long",
        "skeleton",
    ],
)
def test_request_that_does_not_continue_the_stream_is_409_and_harmless(
    server: httpx.Client, change: Body, message: str
) -> None:
    opening = {"stream": "steady", "smoothing": "one_euro", "model": "poseformer-27"}
    ok(server.post("/lift", json=chunk(0, 5, **opening)))
    response = server.post("/lift", json=chunk(5, 8, stream="steady") | change)
    assert response.status_code == 409
    assert message in response.json()["detail"]
    # fields that are not repeated keep their values
    ok(server.post("/lift", json=chunk(5, 8, stream="steady", first_frame=5)))
    assert len(ended(server, "steady")["frames"]) == 8


@pytest.mark.parametrize(
    ("fields", "status", "where"),
    [
        ({"readout": "dense"}, 422, "readout"),
        ({"smoothing": "butterworth"}, 422, "smoothing"),
        ({"lookahead": 14}, 422, "lookahead"),
        ({"model": "poseformer-99"}, 422, "model"),
        ({"first_frame": 5}, 409, None),
    ],
    ids=["dense", "butterworth", "lookahead", "model", "not from the start"],
)
def test_rejected_request_begins_no_stream(
    server: httpx.Client, fields: Body, status: int, where: str | None
) -> None:
    response = server.post("/lift", json=chunk(0, 5, stream="none") | fields)
    assert response.status_code == status
    errors = response.json().get("errors", [])
    assert [error["location"] for error in errors] == ([[where]] if where else [])
    assert server.delete("/streams/none").status_code == 404


def test_streams_are_listed_until_they_end(server: httpx.Client) -> None:
    ok(server.post("/lift", json=chunk(0, 3, stream="listed")))
    listed = server.get("/streams").json()
    StreamsReply.model_validate(listed, strict=True)
    (entry,) = [entry for entry in listed["streams"] if entry["id"] == "listed"]
    assert (entry["frames"], entry["model"], entry["fps"]) == (3, "poseformer-27", 30)
    assert len(ended(server, "listed")["frames"]) == 3
    assert server.delete("/streams/listed").status_code == 404
    assert "listed" not in server.get("/streams").text


def test_concurrent_requests_for_one_stream_run_in_turn(server: httpx.Client) -> None:
    ok(server.post("/lift", json=chunk(0, 1, stream="crowd")))
    with ThreadPoolExecutor(8) as threads:
        responses = list(
            threads.map(lambda _: server.post("/lift", json=chunk(1, 4, stream="crowd")), range(12))
        )
    frames = [frame for one in responses for frame in ok(one)["frames"]]
    frames += ended(server, "crowd")["frames"]
    assert sorted(frames) == list(range(37))


def test_push_completes_after_its_client_has_left(server: httpx.Client) -> None:
    content = json.dumps(chunk(0, 20, stream="left")).encode()
    head = f"POST /lift HTTP/1.1\r\nHost: a\r\nContent-Length: {len(content)}\r\n\r\n"
    url = server.base_url
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall(head.encode() + content)
        until(lambda: httpx.Response(200 if '"left"' in server.get("/streams").text else 404), 200)
    going_on = chunk(20, 45, stream="left", first_frame=20)
    until(lambda: server.post("/lift", json=going_on), 200)
    assert ended(server, "left")["frames"][-1] == 44


@pytest.fixture(scope="module")
def small_server(start_server: ServerStarter) -> Iterator[httpx.Client]:
    with start_server(max_streams=2, stream_idle_s=1) as client:
        yield client


def test_streams_above_the_limit_are_rejected_until_one_is_idle(small_server: httpx.Client) -> None:
    for id in "ab":
        ok(small_server.post("/lift", json=chunk(0, 3, stream=id)))
    response = small_server.post("/lift", json=chunk(0, 3, stream="c"))
    assert (response.status_code, response.json()["title"]) == (429, "Too many streams")
    assert int(response.headers["retry-after"]) == 1
    assert small_server.post("/lift", json=chunk(0, 3)).status_code == 200
    until(lambda: small_server.post("/lift", json=chunk(0, 3, stream="c")), 200)
    gone = small_server.post("/lift", json=chunk(3, 6, stream="a", first_frame=3))
    assert (gone.status_code, "first_frame of this stream is 0" in gone.text) == (409, True)
    until(lambda: small_server.delete("/streams/c"), 404)
    until(lambda: small_server.delete("/streams/b"), 404)
    assert small_server.get("/streams").json() == {"streams": []}


def test_lone_surrogate_is_escaped_in_the_error(server: httpx.Client) -> None:
    """NumPy text can hold one, JSON in UTF-8 cannot."""
    fields = {"stream": "odd", "skeleton": "h36m17", "image_size": [9, 9], "fps": 30}
    ok(server.post("/lift", json=fields | {"keypoints": [None]}))
    file = io.BytesIO()
    model = np.frombuffer(np.uint32(0xD800).tobytes(), "<U1").reshape(())
    np.savez(file, **fields, keypoints=np.zeros((1, 17, 2)), model=model)
    headers = {"content-type": "application/x-npz"}
    response = server.post("/lift", content=file.getvalue(), headers=headers)
    assert response.status_code == 409
    assert response.json()["detail"].endswith(r"got '\ud800'")
    ended(server, "odd")
