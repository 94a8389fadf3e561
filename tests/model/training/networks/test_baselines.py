"""The paper's baselines: their receptive fields, and use in training, export and checkpoints."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from model import InvalidInput, Lifter, UnknownName
from model.training.export.onnx_file import export
from model.training.networks.baselines import NETWORKS, kind_of, network_named
from model.training.networks.checkpoints import averaged_network, grow, load_checkpoint
from model.training.networks.poseformer import NetworkShape, PoseFormer
from model.training.recipe import Recipe
from model.training.recordings import load_recordings
from model.training.simulation.windows import Simulation, batches
from model.training.train import Trainer
from networks import SMALL, model_info

J = 17
SHAPE = replace(SMALL, frames=5, temporal_depth=2, drop_path=0.0)
BASELINES = ["temporal", "joint-tokens"]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def random_network(kind: str) -> PoseFormer:
    """Weights so large that every path changes the output measurably."""
    network = network_named(kind, SHAPE).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=parameter.shape[1] ** -0.5)
            elif "positions" in name:
                parameter.normal_()
    return network


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_network_has_poseformers_interface(kind: str) -> None:
    network = network_named(kind, SHAPE)
    readouts = network(torch.randn(3, 5, J, 6))
    assert readouts.centre.shape == (3, 1, J, 3)
    assert readouts.dense.shape == (3, 5, J, 3)
    assert network.shape == SHAPE
    assert kind_of(network) == kind


@pytest.mark.parametrize("kind", NETWORKS)
def test_gradient_reaches_every_parameter(kind: str) -> None:
    network = random_network(kind)
    readouts = network(torch.randn(3, 5, J, 6))
    (readouts.centre.square().sum() + readouts.dense.square().sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_parameter_count_equals_hand_computed_count() -> None:
    """At the paper's sizes: D = 544, f = 9, C = 2."""
    d, c, f = 544, 32, 9

    def block(width: int) -> int:
        norms, qkv, proj = 4 * width, (width + 1) * 3 * width, (width + 1) * width
        return norms + qkv + proj + (width + 1) * 2 * width + (2 * width + 1) * width

    readout = (f + 1) + 2 * d + (d + 1) * 51
    expected = {
        "temporal": (34 + 1) * d + f * d + 4 * block(d) + 2 * d + readout,
        "joint-tokens": (2 + 1) * c + f * d + 8 * block(c) + 2 * c + readout,
    }
    for kind, count in expected.items():
        network = network_named(kind, NetworkShape(frames=f))
        assert sum(p.numel() for p in network.parameters()) == count, kind


def test_temporal_baseline_has_no_attention_among_joints() -> None:
    """A frame's token is an affine map of its keypoints, so joints do not interact."""
    a, b, zero = torch.randn(4, J, 6), torch.randn(4, J, 6), torch.zeros(4, J, 6)

    def interaction(kind: str) -> float:
        encode = random_network(kind).requires_grad_(False).encode
        return float((encode(a + b) - encode(a) - encode(b) + encode(zero)).abs().max())

    assert interaction("temporal") < 1e-5
    assert interaction("poseformer") > 0.1


def test_joint_tokens_attend_to_all_joints_of_all_frames() -> None:
    """A moved wrist in the first frame changes the tokens of all joints in all frames."""
    network = random_network("joint-tokens")
    windows = torch.randn(1, 5, J, 6)
    moved = windows.clone()
    moved[0, 0, 13, 0] += 1
    tokens: list[torch.Tensor] = []
    network.spatial.register_forward_hook(lambda *call: tokens.append(call[-1]))
    with torch.no_grad():
        network(windows)
        network(moved)
    assert tokens[0].shape == (1, 5 * J, 8)
    assert ((tokens[0] - tokens[1]).abs().amax(dim=-1) > 0).all()


@pytest.mark.parametrize("kind", BASELINES)
def test_frames_are_equivariant_without_positions(kind: str) -> None:
    network = random_network(kind)
    windows, order = torch.randn(2, 5, J, 6), [3, 0, 4, 1, 2]
    with torch.no_grad():
        with_positions = network(windows[:, order]).dense - network(windows).dense[:, order]
        network.frame_positions.zero_()
        without = network(windows[:, order]).dense - network(windows).dense[:, order]
    assert with_positions.abs().max() > 0.01
    assert without.abs().max() < 1e-5


def test_joint_tokens_are_equivariant_without_positions() -> None:
    network = random_network("joint-tokens")
    windows, order = torch.randn(2, 5, J, 6), torch.randperm(J)
    tokens: list[torch.Tensor] = []
    network.spatial.register_forward_hook(
        lambda *call: tokens.append(call[-1].unflatten(1, (5, J)))
    )
    with torch.no_grad():
        for positions in (network.frame_positions.clone(), torch.zeros(1)):
            network.frame_positions.copy_(positions.expand_as(network.frame_positions))
            network(windows)
            network(windows[:, :, order])
    assert (tokens[0][:, :, order] - tokens[1]).abs().max() > 0.01
    torch.testing.assert_close(tokens[2][:, :, order], tokens[3])


@pytest.mark.parametrize("kind", BASELINES)
def test_baselines_train_and_are_restored_from_checkpoints(
    kind: str, tmp_path: Path, recordings_file: Path
) -> None:
    fabric = Fabric(accelerator="cpu", devices=1)
    recipe, path = Recipe(windows=16, batch=8, average=0.0), tmp_path / "run.pt"
    trainer = Trainer(network_named(kind, SHAPE), recipe, fabric)
    before = {name: value.clone() for name, value in trainer.network.named_parameters()}
    source = batches(
        load_recordings([recordings_file]),
        Simulation(),
        frames=SHAPE.frames,
        frame_step=1,
        batch=8,
        generator=trainer.generator,
    )
    losses = [float(trainer.step(next(source))) for _ in range(2)]
    trainer.save(path)
    assert np.isfinite(losses).all()
    for name, value in trainer.network.named_parameters():
        assert not torch.equal(value, before[name]), name
    assert load_checkpoint(path)["network_kind"] == kind

    stored = averaged_network(path)
    assert kind_of(stored) == kind
    windows = torch.randn(2, 5, J, 6)
    with torch.no_grad():
        torch.testing.assert_close(stored(windows), trainer.averaged(windows))
    with pytest.raises(InvalidInput, match="another network"):
        Trainer(network_named("poseformer", SHAPE), recipe, fabric).resume(path)


def test_checkpoint_without_a_kind_is_a_poseformer(tmp_path: Path) -> None:
    network, path = network_named("poseformer", SHAPE), tmp_path / "old.pt"
    torch.save({"shape": vars(SHAPE), "averaged": network.state_dict()}, path)
    assert kind_of(averaged_network(path)) == "poseformer"


def test_baseline_is_exported(tmp_path: Path) -> None:
    """The export itself compares the file with torch."""
    network, path = random_network("joint-tokens"), tmp_path / "tokens.onnx"
    export(network, model_info(SHAPE), path, half_storage=False)
    assert Lifter.load(path).frames == 5


def test_grow_keeps_the_kind() -> None:
    grown = grow(network_named("temporal", SHAPE), 15)
    assert (kind_of(grown), grown.shape.frames) == ("temporal", 15)


def test_unknown_network_raises() -> None:
    with pytest.raises(UnknownName, match="joint-tokens, poseformer, temporal"):
        network_named("lstm", SHAPE)
