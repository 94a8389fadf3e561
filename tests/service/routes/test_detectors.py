"""Detectors by name through a real server: settings may name files, requests may not."""

import io
from pathlib import Path

import av
import httpx
import numpy as np
import pytest

from dot_people import Float32, draw, simcc_network, standing
from model import COCO17, H36M17, VideoOptions, to_h36m17
from paths import ROOT
from servers import ServerStarter

SIZE = (320, 240)
FRAMES = 20


def walk() -> list[Float32]:
    return [standing(120 + 3 * frame, 125, 170) for frame in range(FRAMES)]


@pytest.fixture(scope="module")
def video() -> bytes:
    """A lossless video at 25 fps of a person drawn as dots who walks to the right."""
    written = io.BytesIO()
    with av.open(written, "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "bgr0"
        for joints in walk():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(draw([joints], SIZE))))
        container.mux(stream.encode())
    return written.getvalue()


def post(client: httpx.Client, video: bytes, **options: str) -> httpx.Response:
    return client.post("/video", files={"file": ("f.mp4", video)}, params=options)


TOY = """
import numpy as np
from model import COCO17, Detector, Person


class Toy(Detector):
    name, version, skeleton = "toy", "1", COCO17

    def __init__(self, max_people, device):
        self.device = device

    def detect(self, image, time_s):
        corners = np.linspace(0, min(image.shape[:2]), 34, dtype=np.float32).reshape(17, 2)
        return [Person(corners, np.ones(17, np.float32))]
"""


def test_rtmpose_file_from_settings_is_used_and_refused_in_requests(
    start_server: ServerStarter, tmp_path: Path, video: bytes
) -> None:
    network = simcc_network(tmp_path / "dots.onnx", size=(144, 192))
    name = f"rtmpose:{network},boxes=whole-image"
    with start_server(detector=name) as client:
        reply = post(client, video, max_people="1")
        assert reply.status_code == 200, reply.text
        same = post(client, video, max_people="1", detector=name)
        assert same.json()["people"] == reply.json()["people"]
        for other in (f"rtmpose:{network}", "rtmpose:http://127.0.0.1:9/a.onnx", "class:os.system"):
            refused = post(client, video, detector=other)
            assert refused.status_code == 422
            _, _, known = refused.json()["detail"].partition("; known: ")
            assert known.startswith("mediapipe, mediapipe:heavy, mmpose, rtmpose:")
            assert str(tmp_path) not in known
    assert str(tmp_path) not in str(reply.json()["detector"])
    (person,) = reply.json()["people"]
    assert person["frames"] == list(range(FRAMES))
    expected, _ = to_h36m17(np.stack(walk()), np.ones((FRAMES, len(COCO17.joints))), COCO17)
    found = np.float32(person["keypoints"])
    assert np.abs(found[..., :2] - expected).max() < 3
    assert np.float32(person["poses"]).shape == (FRAMES, len(H36M17.joints), 3)


def test_own_detector_class_is_used_by_the_service(
    start_server: ServerStarter, tmp_path: Path, video: bytes
) -> None:
    (tmp_path / "toys.py").write_text(TOY)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", f"{ROOT}:{tmp_path}")
        with start_server(detector="class:toys.Toy") as client:
            reply = post(client, video).json()
    assert reply["detector"] == {"name": "toy", "version": "1"}
    assert len(reply["people"][0]["frames"]) == FRAMES


def test_video_options_accept_a_detector_with_its_options() -> None:
    assert VideoOptions(detector="rtmpose:x.onnx,boxes=yolox-m,joints=halpe26")
