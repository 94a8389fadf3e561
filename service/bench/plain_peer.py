"""POST /lift as one first writes it, for `poselift bench`: FastAPI reads and writes dicts, or typed
lists. It lifts nothing: what it costs a server is this way of reading and writing.
"""

import socket
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

JOINTS = 17
Numbers = list[list[list[float]]]

app = FastAPI()


class Body(BaseModel):
    keypoints: Numbers
    skeleton: str
    image_size: list[int]
    fps: float


class Reply(BaseModel):
    model: dict[str, str]
    skeleton: str
    frames: list[int]
    poses: Numbers
    keypoints: Numbers
    final: list[bool]
    warnings: list[str]


@app.post("/dicts", response_model=None)
def dicts(body: dict[str, Any]) -> dict[str, Any]:
    return _document(body["keypoints"], body["skeleton"])


@app.post("/declared")
def declared(body: dict[str, Any]) -> dict[str, Any]:
    """As /dicts, but pydantic writes the reply."""
    return _document(body["keypoints"], body["skeleton"])


@app.post("/typed")
def typed(body: Body) -> Reply:
    return Reply(**_document(body.keypoints, body.skeleton))


def _document(given: Numbers, skeleton: str) -> dict[str, Any]:
    """What POST /lift replies, with poses that are made up."""
    keypoints = np.asarray(given, np.float64)
    poses = np.random.default_rng(0).normal(size=(len(keypoints), JOINTS, 3)).astype(np.float32)
    return {
        "model": {"name": "none", "version": "0"},
        "skeleton": skeleton,
        "frames": list(range(len(keypoints))),
        "poses": poses.tolist(),
        "keypoints": keypoints.tolist(),
        "final": [True] * len(keypoints),
        "warnings": [],
    }


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="info")).run(sockets=[listening])
