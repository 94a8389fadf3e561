"""Small networks of random weights, and made-up people."""

from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from model import H36M17, KeypointSequence, Lifter, ModelInfo
from model.training.export.onnx_file import export
from model.training.networks.poseformer import NetworkShape, PoseFormer


@cache
def lifter(frames: int, normalisation: str = "person") -> Lifter:
    """A small network of random weights, exported and loaded."""
    channels = 6 if normalisation == "person" else 2
    shape = NetworkShape(
        frames=frames,
        channels=channels,
        joint_width=8,
        spatial_depth=1,
        temporal_depth=1,
        heads=2,
    )
    info = ModelInfo(
        name=f"tiny-{frames}",
        version="1",
        frames=frames,
        channels=channels,
        normalisation=normalisation,
        readouts=("centre", "dense") if normalisation == "person" else ("centre",),
        height_m=1.7 if normalisation == "person" else None,
        fps=(24.0, 60.0),
        licence="Apache-2.0",
        training_commit="none",
        metrics={},
        shape=asdict(shape),
    )
    torch.manual_seed(frames)
    network = PoseFormer(shape).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.onnx"
        export(network, info, path)
        return Lifter.load(path)


def person(frames: int, seed: int = 0, skeleton=H36M17) -> KeypointSequence:
    """Somebody who wanders through the picture, whom nobody sees now and then."""
    rng = np.random.default_rng(seed)
    joints = len(skeleton.joints)
    path = rng.normal(size=(frames, 1, 2)).cumsum(axis=0) * 5 + [900, 500]
    xy = path + rng.normal(size=(1, joints, 2)) * 80 + rng.normal(size=(frames, joints, 2)) * 3
    score = rng.uniform(0.2, 1, (frames, joints)) * (rng.uniform(size=(frames, joints)) > 0.1)
    score[rng.uniform(size=frames) < 0.2] = 0
    return KeypointSequence(xy, score, (1920, 1080), 30.0, skeleton)


def part(whole: KeypointSequence, rows: slice) -> KeypointSequence:
    return replace(whole, xy=whole.xy[rows], confidence=whole.confidence[rows])
