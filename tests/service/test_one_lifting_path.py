"""All interfaces return equal final poses for equal keypoints, at all frame rates."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from live_client import connected, opened, rest, send
from model import (
    H36M17,
    KeypointSequence,
    Lifter,
    Person,
    VideoOptions,
    lift_keypoints,
    lift_video,
)
from service.cli import main

FRAMES = 70
SIZE = (640, 480)

Poses = NDArray[np.float32]


@pytest.fixture(scope="module")
def lifter(weights_file: Path) -> Lifter:
    return Lifter.load(weights_file)


def moving(fps: float) -> KeypointSequence:
    """A figure that drifts and swings at the same speed for all frame rates."""
    rng = np.random.default_rng(4)
    time_s = np.arange(FRAMES)[:, None, None] / fps
    start, phase = rng.uniform(150, 350, (1, 17, 2)), rng.uniform(0, 6, (1, 17, 2))
    xy = start + 20 * np.sin(5 * time_s + phase) + 30 * time_s
    return KeypointSequence(xy, rng.uniform(0.5, 1, (FRAMES, 17)), SIZE, fps, H36M17)


def body_of(sequence: KeypointSequence, rows: slice = slice(None)) -> dict[str, Any]:
    return {
        "keypoints": sequence.rows[rows].tolist(),
        "skeleton": "h36m17",
        "image_size": SIZE,
        "fps": sequence.fps,
    }


def by_lift(server: httpx.Client, sequence: KeypointSequence) -> Poses:
    return np.float32(server.post("/lift", json=body_of(sequence)).json()["poses"])


def by_http_stream(server: httpx.Client, sequence: KeypointSequence) -> Poses:
    name = f"rate-{sequence.fps:g}"
    poses = []
    for start in range(0, FRAMES, 9):
        body = body_of(sequence, slice(start, start + 9)) | {"stream": name}
        response = server.post("/lift", json=body).json()
        assert all(response["final"])
        poses += response["poses"]
    return np.float32(poses + server.delete(f"/streams/{name}").json()["poses"])


def by_socket(server: httpx.Client, sequence: KeypointSequence) -> Poses:
    with connected(server) as socket:
        opening = {"skeleton": "h36m17", "image_size": SIZE, "fps": sequence.fps}
        opened(socket, opening | {"lookahead": None})
        for frame, rows in enumerate(sequence.rows.tolist()):
            send(socket, {"frame": frame, "people": [{"id": 7, "keypoints": rows}]})
        send(socket, {"end": True})
        frames, code, _ = rest(socket)
    assert code == 1000
    assert [frame["frame"] for frame in frames] == list(range(FRAMES))
    return np.float32([frame["people"][0]["pose"] for frame in frames])


def by_command(folder: Path, sequence: KeypointSequence) -> Poses:
    keypoints, poses = folder / "keypoints.json", folder / "poses.json"
    keypoints.write_text(json.dumps(body_of(sequence)))
    assert main(["lift", str(keypoints), "-o", str(poses)]) == 0
    return np.float32(json.loads(poses.read_text())["poses"])


def by_video(
    folder: Path, sequence: KeypointSequence, lifter: Lifter, patch: pytest.MonkeyPatch
) -> Poses:
    """A video whose detector gives these keypoints."""

    class Replay:
        name, version, skeleton = "replay", "1", H36M17

        def __init__(self) -> None:
            self._frames = iter(zip(sequence.xy, sequence.confidence, strict=True))

        def detect(self, image: NDArray[np.uint8], time_s: float) -> list[Person]:
            return [Person(*next(self._frames))]

        def close(self) -> None: ...

    path = folder / "video.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 12_000)
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
            frame.time_base, frame.pts = Fraction(1, 12_000), round(number * 12_000 / sequence.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    patch.setattr("model.video.pipeline.open_detector", lambda *_: Replay())
    options = VideoOptions(repair=False, smoothing="none")
    (person,) = lift_video(path, lifter, options).people
    return person.poses.xyz


@pytest.mark.parametrize("fps", [24.0, 60.0, 120.0, 240.0])
def test_all_interfaces_return_equal_final_poses(
    server: httpx.Client,
    lifter: Lifter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fps: float,
) -> None:
    sequence = moving(fps)
    (person,) = lift_keypoints(sequence, lifter).people
    poses = {
        "Lifter.lift": lifter.lift(sequence).xyz,
        "POST /lift": by_lift(server, sequence),
        "POST /lift with stream": by_http_stream(server, sequence),
        "WS /stream": by_socket(server, sequence),
        "poselift lift": by_command(tmp_path, sequence),
        "lift_video": by_video(tmp_path, sequence, lifter, monkeypatch),
    }
    for interface, xyz in poses.items():
        np.testing.assert_allclose(xyz, person.poses.xyz, atol=1e-5, err_msg=interface)


@pytest.mark.parametrize(("fps", "delay_frames"), [(60, 13), (120, 27), (240, 55)])
def test_streams_state_the_delay_of_their_frame_rate(
    server: httpx.Client, fps: int, delay_frames: int
) -> None:
    body = body_of(moving(fps), slice(1)) | {"stream": f"delay-{fps}"}
    response = server.post("/lift", json=body).json()
    with connected(server) as socket:
        ready = opened(socket, {"fps": fps})
    for document in (response, ready):
        assert document["delay_frames"] == delay_frames
        assert document["delay_s"] == delay_frames / fps
        assert document["applied"]["lift_every"] == -(-fps // 66)
