"""One corridor behind all doors: what /video saw gives the same poses when sent to /lift."""

import socket
from pathlib import Path

import httpx
import pytest

from service.server import _listen

CLIP = Path(__file__).parent / "clips" / "one_person.mp4"


@pytest.mark.parametrize("readout", ["centre", "dense"])
def test_keypoints_of_a_video_lift_to_its_poses(server: httpx.Client, readout: str) -> None:
    options = {"smoothing": "none", "readout": readout}
    video = server.post("/video", params=options, files={"file": CLIP.read_bytes()}).json()
    (person,) = video["people"]
    size = [video["video"]["width"], video["video"]["height"]]
    body = {
        "keypoints": person["keypoints"],
        "skeleton": "h36m17",
        "image_size": size,
        "fps": video["video"]["fps"],
        "readout": readout,
    }
    lifted = server.post("/lift", json=body).json()
    assert lifted["keypoints"] == person["keypoints"]
    assert lifted["poses"] == person["poses"]


def test_small_answers_are_not_held_back() -> None:
    """asyncio leaves Nagle's algorithm on where a socket does not name its protocol, and an answer
    of a live stream then waits for the client's delayed ACK."""
    with _listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
