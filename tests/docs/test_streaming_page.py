"""The requests and programs of docs/streaming.md."""

import re
import shlex
import subprocess
import sys

import httpx
import orjson

from doc_pages import blocks
from paths import ONE


def block(language: str, holding: str) -> str:
    (text,) = [text for _, text in blocks("docs/streaming.md", language) if holding in text]
    return text


def test_first_frame_of_an_http_stream_is_answered_at_once(server: httpx.Client) -> None:
    body = orjson.loads(shlex.split(block("sh", "/lift"))[-1])
    document = server.post("/lift", json=body).json()
    assert (document["frames"], document["final"]) == ([0], [False])
    assert document["delay_frames"] == 13
    assert server.delete(f"/streams/{body['stream']}").json()["frames"] == [0]


def test_npz_program_prints_the_shape_of_the_poses(server: httpx.Client) -> None:
    url = str(server.base_url).rstrip("/")
    script = block("python", "application/x-npz").replace("http://127.0.0.1:8000", url)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "(100, 17, 3)\n", done.stderr


def test_websocket_program_prints_provisional_and_final_poses_of_each_frame(
    server: httpx.Client,
) -> None:
    url = str(server.base_url.copy_with(scheme="ws", path="/stream"))
    command = [sys.executable, "-c", block("python", "websockets"), str(ONE), url]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ready, *lines = done.stdout.splitlines()
    assert orjson.loads(ready)["delay_frames"] == 13
    shown = re.compile(r"(provisional|final) (\d+): person 1 at(?: -?\d\.\d\d){3} m")
    poses = [match.groups() for match in map(shown.fullmatch, lines) if match]
    assert len(poses) == len(lines) > 0
    frames = {k: [frame for kind, frame in poses if kind == k] for k in ("provisional", "final")}
    assert frames["provisional"] == frames["final"]
