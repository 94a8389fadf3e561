"""What docs/streaming.md shows is what happens."""

import re
import shlex
import subprocess
import sys

import httpx
import orjson

from paths import ONE, ROOT

PAGE = (ROOT / "docs" / "streaming.md").read_text()


def block(language: str, holding: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [one for one in blocks if holding in one]
    return found


def test_the_stream(server: httpx.Client) -> None:
    body = orjson.loads(shlex.split(block("sh", "/lift"))[-1])
    reply = server.post("/lift", json=body).json()
    assert (reply["frames"], reply["final"], reply["delay_frames"]) == ([0], [False], 13)
    assert server.delete(f"/streams/{body['stream']}").json()["frames"] == [0]


def test_the_arrays(server: httpx.Client) -> None:
    url = str(server.base_url).rstrip("/")
    script = block("python", "application/x-npz").replace("http://127.0.0.1:8000", url)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "(100, 17, 3)\n", done.stderr


def test_the_client_that_plays_a_clip(server: httpx.Client) -> None:
    clip = ONE
    url = str(server.base_url.copy_with(scheme="ws", path="/stream"))
    command = [sys.executable, "-c", block("python", "websockets"), str(clip), url]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ready, *lines = done.stdout.splitlines()
    assert orjson.loads(ready)["delay_frames"] == 13
    shown = r"(early|final) (\d+): person 1 at(?: -?\d\.\d\d){3} m"
    answers = [match.groups() for match in map(re.compile(shown).fullmatch, lines) if match]
    assert len(answers) == len(lines) > 0
    frames = {kind: [frame for one, frame in answers if one == kind] for kind in ("early", "final")}
    assert frames["early"] == frames["final"]
