"""Small networks with random weights; each is exported once per test run, for all processes."""

import fcntl
import hashlib
import os
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from model import Lifter, ModelInfo
from model.training.export.onnx_file import export
from model.training.networks.poseformer import NetworkShape, PoseFormer

SMALL = NetworkShape(
    frames=9, channels=6, joint_width=8, spatial_depth=1, temporal_depth=1, heads=2
)
SHAPES = [
    replace(SMALL, frames=1),
    replace(SMALL, heads=4, spatial_depth=2, temporal_depth=3),
    replace(SMALL, frames=27, heads=8, temporal_depth=2),
]


def random_network(shape: NetworkShape) -> PoseFormer:
    """Weights so large that every bias, norm and position changes the outputs measurably."""
    torch.manual_seed(shape.frames)
    network = PoseFormer(shape).eval()
    for name, parameter in network.named_parameters():
        torch.nn.init.normal_(parameter, mean=float("norm" in name and "weight" in name), std=0.2)
    with torch.no_grad():
        network.head.weight.mul_(0.1)  # poses of a person's size
    return network


def model_info(shape: NetworkShape, **changes: Any) -> ModelInfo:
    """Metadata; 2 channels mean the normalisation `image`."""
    person = shape.channels == 6
    info = ModelInfo(
        name=f"tiny-{shape.frames}",
        version="1.2.3",
        frames=shape.frames,
        channels=shape.channels,
        normalisation="person" if person else "image",
        readouts=("centre", "dense") if person else ("centre",),
        height_m=1.7 if person else None,
        fps=(24.0, 60.0),
        licence="Apache-2.0",
        training_commit="none",
        metrics={"mpjpe": 1.5},
        shape=asdict(shape),
    )
    return replace(info, **changes)


def exported(
    network: PoseFormer,
    info: ModelInfo | None = None,
    *,
    arranged: bool = True,
    half_storage: bool = True,
) -> Path:
    """The network's model file, shared by all tests: copy it before writing next to it."""
    info = info or model_info(network.shape)
    digest = hashlib.sha256(repr((info, arranged, half_storage)).encode())
    for name, values in network.state_dict().items():
        digest.update(name.encode() + values.numpy().tobytes())
    path = Path(os.environ["TEST_NETWORKS"], digest.hexdigest()[:16], f"{info.name}.onnx")
    path.parent.mkdir(exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            export(network, info, path, arranged=arranged, half_storage=half_storage)
    return path


@cache
def lifter(frames: int, normalisation: str = "person") -> Lifter:
    """A loaded small network."""
    shape = replace(SMALL, frames=frames, channels=6 if normalisation == "person" else 2)
    return Lifter.load(exported(random_network(shape)))
