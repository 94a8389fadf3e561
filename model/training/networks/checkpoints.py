"""Checkpoints on disk, and networks made from them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model.errors import InvalidInput
from model.files import written_whole
from model.training.networks.baselines import kind_of, network_named
from model.training.networks.poseformer import NetworkShape, PoseFormer


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write atomically. Raises InvalidInput if the file cannot be written; a previous checkpoint
    is then kept."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as part:
            torch.save(state, part)
    except (OSError, RuntimeError) as error:
        raise InvalidInput(f"{path}: the checkpoint could not be written ({error})") from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a poselift checkpoint. Raises InvalidInput."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InvalidInput(f"{path}: not a readable checkpoint ({error})") from error
    if not isinstance(state, dict) or not {"shape", "averaged"} <= set(state):
        raise InvalidInput(f"{path}: not a poselift training checkpoint")
    return state


def averaged_network(path: Path) -> PoseFormer:
    """The network with a checkpoint's averaged weights, in evaluation mode."""
    state = load_checkpoint(path)
    kind = state.get("network_kind", "poseformer")
    network = network_named(kind, NetworkShape(**state["shape"]))
    network.load_state_dict(state["averaged"])
    return network.eval()


def grow(network: PoseFormer, frames: int) -> PoseFormer:
    """The same network over more frames in the same time span. Positions are interpolated; new
    frames have weight 0 in the mean. Raises InvalidInput unless frames grow by an odd factor."""
    old = network.shape.frames
    if frames % 2 == 0 or frames % old:
        raise InvalidInput(f"frames must grow by an odd factor, got {old} -> {frames}")
    factor = frames // old
    grown = network_named(kind_of(network), replace(network.shape, frames=frames))
    state = dict(network.state_dict())
    positions = nn.functional.interpolate(
        state["frame_positions"].mT, size=frames, mode="linear", align_corners=False
    )
    state["frame_positions"] = positions.mT
    weight = torch.zeros_like(grown.frame_mean.weight)
    weight[:, factor // 2 :: factor] = state["frame_mean.weight"]
    state["frame_mean.weight"] = weight
    grown.load_state_dict(state)
    return grown
