"""Networks of random weights in which a bias, norm or position that goes astray is seen."""

from dataclasses import asdict

import torch

from model import ModelInfo
from model.training.networks.poseformer import NetworkShape, PoseFormer

SHAPES = [
    NetworkShape(frames=frames, channels=6, joint_width=8, heads=heads, **depths)
    for frames, heads, depths in [
        (1, 2, {"spatial_depth": 1, "temporal_depth": 1}),
        (9, 4, {"spatial_depth": 2, "temporal_depth": 3}),
        (27, 8, {"spatial_depth": 1, "temporal_depth": 2}),
    ]
]


def lively(shape: NetworkShape) -> PoseFormer:
    """Weights in which a bias, a norm or a position that goes astray is seen."""
    torch.manual_seed(shape.frames)
    network = PoseFormer(shape).eval()
    for name, parameter in network.named_parameters():
        torch.nn.init.normal_(parameter, mean=float("norm" in name and "weight" in name), std=0.2)
    with torch.no_grad():
        network.head.weight.mul_(0.1)  # poses of a person's size
    return network


def described(shape: NetworkShape) -> ModelInfo:
    return ModelInfo(
        name="lively",
        version="1",
        frames=shape.frames,
        channels=6,
        normalisation="person",
        readouts=("centre", "dense"),
        height_m=1.7,
        fps=(24.0, 60.0),
        licence="Apache-2.0",
        training_commit="none",
        metrics={},
        shape=asdict(shape),
    )
