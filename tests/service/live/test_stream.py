"""WS /stream through a real server: poses equal the library's, and bad messages are rejected."""

import re
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.sync.client import ClientConnection, connect

from live_client import OPENING, Document, connected, opened, receive, rest, send
from model import COCO17, KeypointSequence, Lifter, LiftOptions, SwapRepair, VideoResult, smooth
from servers import ServerStarter, server_process
from synthetic import part, person


@pytest.fixture(scope="module")
def lifter(weights_file: Path) -> Lifter:
    return Lifter.load(weights_file)


def frame_of(number: int, people: dict[str, KeypointSequence]) -> Document:
    """The message of frame `number` with these people."""
    rows = {id: whole.rows[number] for id, whole in people.items()}
    return {
        "frame": number,
        "people": [
            {"id": id, "keypoints": [None if row[2] == 0 else row for row in found.tolist()]}
            for id, found in rows.items()
        ],
    }


def poses(answers: list[Document], id: str, *, final: bool) -> NDArray[np.float32]:
    found = [
        one["pose"]
        for answer in answers
        if answer["final"] == final
        for one in answer["people"]
        if one["id"] == id
    ]
    return np.array(found, np.float32)


def streamed(
    server: httpx.Client, people: dict[str, KeypointSequence], opening: Document = OPENING
) -> list[Document]:
    """All messages for people who are present in every frame."""
    with connected(server) as socket:
        opened(socket, opening)
        for frame in range(len(next(iter(people.values())))):
            send(socket, frame_of(frame, people))
        send(socket, {"end": True})
        answers, code, _ = rest(socket)
    assert code == 1000
    return answers


def test_swaps_are_repaired_on_request(
    server: httpx.Client, lifter: Lifter, real_result: VideoResult
) -> None:
    """Real swaps of MediaPipe, repaired for each person alone."""
    people = {str(person.id): person.keypoints for person in real_result.people}
    size = list(real_result.people[0].keypoints.image_size)
    opening: Document = OPENING | {"image_size": size, "lookahead": None, "repair": True}
    answers = streamed(server, people, opening)
    for id, detected in people.items():
        repaired, swapped = SwapRepair(detected.skeleton).push(detected)
        assert swapped.any()
        expected = lifter.lift(repaired).xyz
        np.testing.assert_allclose(poses(answers, id, final=True), expected, atol=1e-4)


def test_people_who_come_and_go_are_lifted_anew(server: httpx.Client, lifter: Lifter) -> None:
    people = {f"p{seed}": person(60, seed) for seed in range(3)}
    here = {"p0": [(0, 60)], "p1": [(5, 20), (22, 60)], "p2": [(40, 41)]}
    with connected(server) as socket:
        ready = opened(socket)
        for frame in range(60):
            inside = {
                id: whole
                for id, whole in people.items()
                if any(low <= frame < high for low, high in here[id])
            }
            send(socket, frame_of(frame, inside))
        send(socket, {"end": True})
        answers, code, _ = rest(socket)
    assert code == 1000
    assert ready["model"] == {"name": lifter.name, "version": lifter.version}
    assert (ready["delay_frames"], ready["delay_s"]) == (13, 13 / 30)
    assert (ready["lookahead"], ready["warnings"]) == (0, [])
    for final in (False, True):
        frames = [answer["frame"] for answer in answers if answer["final"] == final]
        assert frames == list(range(60))
    for id, spans in here.items():
        offline = [lifter.lift(part(people[id], slice(*span))).xyz for span in spans]
        expected = np.concatenate(offline)
        np.testing.assert_allclose(poses(answers, id, final=True), expected, atol=1e-5)
        assert len(poses(answers, id, final=False)) == len(expected)


def test_interleaved_connections_equal_separate_ones(server: httpx.Client, lifter: Lifter) -> None:
    people = [person(20, seed) for seed in (1, 2)]
    with connected(server) as first, connected(server) as second:
        for socket in (first, second):
            opened(socket)
        for frame in range(20):
            for socket, whole in zip((first, second), people, strict=True):
                send(socket, frame_of(frame, {"me": whole}))
        for socket, whole in zip((first, second), people, strict=True):
            send(socket, {"end": True})
            found = poses(rest(socket)[0], "me", final=True)
            np.testing.assert_allclose(found, lifter.lift(whole).xyz, atol=1e-5)


def test_provisional_poses_are_sent_at_once(server: httpx.Client) -> None:
    whole = person(3)
    with connected(server) as socket:
        opened(socket)
        for frame in range(3):
            send(socket, frame_of(frame, {"me": whole}))
            answer = receive(socket)
            assert (answer["frame"], answer["final"]) == (frame, False)


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"flip": True}, LiftOptions(flip=True)),
        ({"focal_px": 900, "lookahead": 13}, LiftOptions(focal_px=900.0)),
        ({"height_m": 1.9, "lookahead": None}, LiftOptions(height_m=1.9)),
        ({"smoothing": "one_euro"}, LiftOptions()),
        ({"policy": "block", "max_people": 1}, LiftOptions()),
    ],
)
def test_options_are_passed_to_the_lifter(
    server: httpx.Client, lifter: Lifter, fields: Document, options: LiftOptions
) -> None:
    whole = person(30)
    answers = streamed(server, {"me": whole}, OPENING | fields)
    offline = smooth(lifter.lift(whole, options), fields.get("smoothing", "none"))
    np.testing.assert_allclose(poses(answers, "me", final=True), offline.xyz, atol=1e-5)
    provisional = [answer["frame"] for answer in answers if not answer["final"]]
    assert provisional == ([] if fields.get("lookahead", 0) is None else list(range(30)))


def test_other_joint_sets_frame_numbers_and_ids_work(server: httpx.Client, lifter: Lifter) -> None:
    whole = person(4, 3, COCO17)
    with connected(server) as socket:
        opened(socket, OPENING | {"skeleton": "coco17", "fps": 200})
        for frame in range(4):
            message = frame_of(frame, {"me": whole})
            message["frame"] = 100 + frame
            message["people"][0]["id"] = -7
            send(socket, message)
        send(socket, {"end": True})
        answers = [answer for answer in rest(socket)[0] if answer["final"]]
    assert [answer["frame"] for answer in answers] == [100, 101, 102, 103]
    found = [answer["people"][0]["pose"] for answer in answers]
    assert {answer["people"][0]["id"] for answer in answers} == {-7}
    expected = lifter.lift(replace(whole, fps=200)).xyz
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_frame_without_people_is_returned_empty(server: httpx.Client) -> None:
    with connected(server) as socket:
        opened(socket)
        send(socket, {"frame": 0, "people": []})
        send(socket, {"end": True})
        answers, code, _ = rest(socket)
    assert answers == [{"frame": 0, "final": final, "people": []} for final in (False, True)]
    assert code == 1000


def test_ready_message_has_warnings_and_assumed_values(server: httpx.Client) -> None:
    with connected(server) as socket:
        ready = opened(socket, OPENING | {"fps": 200})
    assert ready["warnings"] == [
        "the model was trained for 24-60 frames/s, the input has 200; one frame in 4 was lifted, "
        "the poses between were interpolated"
    ]
    assert ready["applied"]["focal_px"] == 1920


def changed(**fields: object) -> Document:
    return OPENING | fields


def without(name: str) -> Document:
    return {key: value for key, value in OPENING.items() if key != name}


BAD_OPENINGS: dict[str, tuple[Document | str, list[str | int] | None]] = {
    "not JSON": ("hello", None),
    "no object": ("[1]", None),
    "unknown field": (changed(readout="centre"), ["readout"]),
    "no fps": (without("fps"), ["fps"]),
    "string as fps": (changed(fps="30"), ["fps"]),
    "fps 0": (changed(fps=0), ["fps"]),
    "unknown skeleton": (changed(skeleton="coco18"), ["skeleton"]),
    "unknown model": (changed(model="poseformer-99"), ["model"]),
    "unknown detector": (changed(detector="eyes"), ["detector"]),
    "image side 0": (changed(image_size=[0, 5]), ["image_size", 0]),
    "lookahead beyond the window": (changed(lookahead=14), ["lookahead"]),
    "lookahead below 0": (changed(lookahead=-1), ["lookahead"]),
    "flip as number": (changed(flip=1), ["flip"]),
    "smoothing that looks ahead": (changed(smoothing="butterworth"), ["smoothing"]),
    "too tall": (changed(height_m=4), ["height_m"]),
    "too many people": (changed(max_people=17), ["max_people"]),
    "unknown policy": (changed(policy="hope"), ["policy"]),
}


@pytest.mark.parametrize("case", BAD_OPENINGS)
def test_bad_opening_is_rejected_with_its_location(server: httpx.Client, case: str) -> None:
    message, where = BAD_OPENINGS[case]
    with connected(server) as socket:
        send(socket, message)
        (answer,), code, reason = rest(socket)
    assert code == 1008
    problem = answer["error"]
    assert 400 <= problem["status"] < 500
    assert problem["detail"].startswith(reason)
    assert [error["location"] for error in problem.get("errors", [])] == ([where] if where else [])


def one(**fields: object) -> Document:
    keypoints = [[10.5 * joint, 20, 0.9] for joint in range(17)]
    return {"frame": 0, "people": [{"id": 1, "keypoints": keypoints} | fields]}


def bad_joint(row: object) -> Document:
    message = one()
    message["people"][0]["keypoints"][5] = row
    return message


BAD_FRAMES: dict[str, tuple[Document | str | bytes, int, list[str | int] | None]] = {
    "not JSON": ('{"frame"', 1008, None),
    "1e999": ('{"frame": 1e999}', 1008, None),
    "too long": ('"' + "x" * 1_000_001 + '"', 1008, None),
    "no frame": ({"people": []}, 1008, ["frame"]),
    "frame below 0": ({"frame": -1, "people": []}, 1008, ["frame"]),
    "frame as string": ({"frame": "0", "people": []}, 1008, ["frame"]),
    "no people": ({"frame": 0}, 1008, ["people"]),
    "unknown field": ({"frame": 0, "people": [], "pose": 1}, 1008, ["pose"]),
    "end false": ({"end": False}, 1008, ["end"]),
    "no id": ({"frame": 0, "people": [{"keypoints": []}]}, 1008, ["people", 0, "id"]),
    "id true": (one(id=True), 1008, ["people", 0, "id"]),
    "long id": (one(id="x" * 65), 1008, ["people", 0, "id"]),
    "id twice": ({"frame": 0, "people": one()["people"] * 2}, 1008, ["people", 1, "id"]),
    "17 people": (
        {"frame": 0, "people": [one(id=k)["people"][0] for k in range(17)]},
        1008,
        ["people"],
    ),
    "a joint missing": (one(keypoints=[[1, 2]] * 16), 1008, ["people", 0, "keypoints"]),
    "keypoints as number": (one(keypoints=3), 1008, ["people", 0, "keypoints"]),
    "a number as string": (bad_joint([1, "2"]), 1008, ["people", 0, "keypoints", 5, 1]),
    "beyond 1e6": (bad_joint([1e7, 2]), 1008, ["people", 0, "keypoints", 5, 0]),
    "score above 1": (bad_joint([1, 2, 1.5]), 1008, ["people", 0, "keypoints", 5, 2]),
    "not a picture": (b"hello", 1003, None),
    "half a picture": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01", 1003, None),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_bad_frame_is_rejected_with_its_location(server: httpx.Client, case: str) -> None:
    message, expected, where = BAD_FRAMES[case]
    with connected(server) as socket:
        opened(socket)
        send(socket, message)
        (answer,), code, reason = rest(socket)
    problem = answer["error"]
    assert code == expected, problem
    assert problem["detail"].startswith(reason)
    assert [error["location"] for error in problem.get("errors", [])] == ([where] if where else [])


def test_binary_first_message_is_rejected(server: httpx.Client) -> None:
    with connected(server) as socket:
        send(socket, b"\xff\xd8")
        (answer,), code, _ = rest(socket)
    assert (answer["error"]["status"], code) == (415, 1003)


def test_keypoints_without_a_skeleton_are_rejected(server: httpx.Client) -> None:
    with connected(server) as socket:
        opened(socket, {"fps": 30})
        send(socket, one())
        (answer,), code, _ = rest(socket)
    assert (answer["error"]["errors"][0]["location"], code) == (["skeleton"], 1008)


@pytest.mark.parametrize("second", [0, 1, 4])
def test_repeated_or_missing_frame_is_rejected(server: httpx.Client, second: int) -> None:
    whole = person(3)
    with connected(server) as socket:
        opened(socket)
        for number in (0, 1):
            send(socket, frame_of(number, {"me": whole}))
        send(socket, frame_of(0, {"me": whole}) | {"frame": second})
        answers, code, reason = rest(socket)
    assert code == 1008
    assert reason == f"frame 2 is expected next, got {second}"
    # earlier poses are still sent
    assert [answer.get("frame") for answer in answers] == [0, 1, None]


def test_image_among_keypoints_is_rejected(server: httpx.Client) -> None:
    with connected(server) as socket:
        opened(socket)
        send(socket, one())
        send(socket, b"\xff\xd8")
        answers, code, _ = rest(socket)
    assert (answers[-1]["error"]["status"], code) == (415, 1003)


def test_query_options_are_rejected(server: httpx.Client) -> None:
    url = str(server.base_url.copy_with(scheme="ws", path="/stream")) + "?fps=30"
    with connect(url) as socket:
        (answer,), code, _ = rest(socket)
    assert "fps" in answer["error"]["detail"]
    assert code == 1008


def until(server: httpx.Client, line: str) -> None:
    """Wait for a line, a pattern, of the server's metrics."""
    end_s = time.monotonic() + 60
    while not re.search(line, server.get("/metrics").text):
        assert time.monotonic() < end_s
        time.sleep(0.02)


def until_streams(server: httpx.Client, count: int) -> None:
    until(server, f"poselift_live_streams {count}.0")


@pytest.fixture(scope="module")
def small_server(start_server: ServerStarter) -> Iterator[httpx.Client]:
    """Low limits and short timeouts."""
    limits = {
        "live_at_once": 2,
        "live_idle_s": 3,
        "live_queue": 4,
        "live_message_mb": 0.1,
        "live_ping_s": 1,
    }
    with start_server(**limits) as client:
        yield client


def test_streams_above_the_limit_are_rejected(small_server: httpx.Client) -> None:
    with connected(small_server) as first, connected(small_server) as second:
        for socket in (first, second):
            opened(socket)
        with connected(small_server) as third:
            (answer,), code, reason = rest(third)
        assert (answer["error"]["status"], code) == (503, 1013)
        assert reason.startswith("2 live streams are under way")
    until_streams(small_server, 0)
    with connected(small_server) as again:
        opened(again)


def test_silent_client_is_disconnected(small_server: httpx.Client) -> None:
    with connected(small_server) as socket:
        opened(socket)
        (answer,), code, reason = rest(socket)
    assert (answer["error"]["status"], code) == (408, 1008)
    assert reason == "nothing was received for 3 s"


def test_long_message_is_rejected(small_server: httpx.Client) -> None:
    with connected(small_server) as socket:
        opened(socket)
        send(socket, b"\xff" * 100_001)
        assert rest(socket)[1] == 1009


def test_stream_of_a_vanished_client_ends(small_server: httpx.Client) -> None:
    with connected(small_server) as socket:
        opened(socket)
        for number in range(3):
            send(socket, frame_of(number, {"me": person(3)}))
        socket.socket.close()
    until_streams(small_server, 0)


def reading_nothing(server: httpx.Client) -> ClientConnection:
    """A client with small buffers on both sides of its connection."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    plain.connect((server.base_url.host, server.base_url.port))
    url = str(server.base_url.copy_with(scheme="ws", path="/stream"))
    return connect(url, sock=plain, ping_interval=None, max_queue=1, close_timeout=0.1)


def crowd(frame: int) -> Document:
    people = [one(id=id)["people"][0] for id in range(16)]
    return {"frame": frame, "people": people}


def test_slow_reader_gets_every_final_pose(small_server: httpx.Client) -> None:
    with reading_nothing(small_server) as socket:
        opened(socket)
        for frame in range(40):
            send(socket, crowd(frame))
        send(socket, {"end": True})
        until(small_server, r"poselift_live_answers_dropped_total [1-9]")
        answers, code, _ = rest(socket)
    assert code == 1000
    provisional, final = (
        [a["frame"] for a in answers if a["final"] == kind] for kind in (False, True)
    )
    assert final == list(range(40))
    assert all(len(answer["people"]) == 16 for answer in answers)
    assert provisional == sorted(set(provisional))
    assert len(provisional) < 40


def test_policy_block_sends_every_pose_to_a_slow_reader(small_server: httpx.Client) -> None:
    with reading_nothing(small_server) as socket:
        opened(socket, OPENING | {"policy": "block"})
        for frame in range(40):
            send(socket, crowd(frame))
        send(socket, {"end": True})
        answers, code, _ = rest(socket)
    assert code == 1000
    assert len(answers) == 80


def test_client_that_does_not_read_is_disconnected(small_server: httpx.Client) -> None:
    with reading_nothing(small_server) as socket:
        opened(socket)
        for frame in range(40):
            send(socket, crowd(frame))
        until_streams(small_server, 0)


def test_client_without_pongs_is_disconnected(small_server: httpx.Client) -> None:
    address = (small_server.base_url.host, small_server.base_url.port)
    handshake = (
        "GET /stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(handshake.encode())
        received = b"".join(iter(lambda: client.recv(4096), b""))
    assert received.endswith(b"keepalive ping timeout")


def test_stopping_server_closes_streams_with_1012_or_1013() -> None:
    with server_process() as (process, client), connected(client) as socket:
        opened(socket)
        send(socket, one())
        assert receive(socket)["frame"] == 0
        process.terminate()
        answers, code, reason = rest(socket)
        assert process.wait(timeout=30) in (0, -signal.SIGTERM)
    # uvicorn may close first, with 1012
    assert code in (1012, 1013)
    if code == 1013:
        assert answers[-1]["error"]["status"] == 503
        assert reason.startswith("the service is stopping")


@pytest.mark.parametrize("opened_before", [False, True])
def test_text_that_is_not_utf8_is_closed_with_1007(
    server: httpx.Client, opened_before: bool
) -> None:
    with connected(server) as socket:
        if opened_before:
            opened(socket)
        socket.send(b"\xff\xfe", text=True)
        assert rest(socket) == ([], 1007, "")
