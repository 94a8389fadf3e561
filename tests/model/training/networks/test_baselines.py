"""The paper's other networks: what they can and cannot see, and that the same loop takes them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from model import InvalidInput, Lifter, ModelInfo, UnknownName
from model.training.export.onnx_file import export
from model.training.networks.baselines import NETWORKS, kind_of, network_named
from model.training.networks.checkpoints import averaged_network, grow, load_checkpoint
from model.training.networks.poseformer import NetworkShape, PoseFormer
from model.training.recipe import Recipe
from model.training.recordings import load_recordings
from model.training.simulation.simulate import Simulation, batches
from model.training.train import Trainer

J = 17
SHAPE = NetworkShape(
    frames=5, channels=6, joint_width=8, spatial_depth=1, temporal_depth=2, heads=2, drop_path=0.0
)
BASELINES = ["temporal", "joint-tokens"]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def lively(kind: str, shape: NetworkShape = SHAPE) -> PoseFormer:
    """With weights large enough that every path shows in the answer."""
    network = network_named(kind, shape).eval()
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
    answer = network(torch.randn(3, 5, J, 6))
    assert answer.centre.shape == (3, 1, J, 3)
    assert answer.dense.shape == (3, 5, J, 3)
    assert network.shape == SHAPE
    assert kind_of(network) == kind


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_gradient_reaches_every_parameter(kind: str) -> None:
    network = lively(kind)
    answer = network(torch.randn(3, 5, J, 6))
    (answer.centre.square().sum() + answer.dense.square().sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_parameters_counted_by_hand() -> None:
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


def test_temporal_alone_has_no_attention_among_joints() -> None:
    """A frame's token is an affine map of its pose: no joint changes what another contributes."""
    a, b, zero = torch.randn(4, J, 6), torch.randn(4, J, 6), torch.zeros(4, J, 6)

    def interaction(kind: str) -> float:
        encode = lively(kind).requires_grad_(False).encode
        return float((encode(a + b) - encode(a) - encode(b) + encode(zero)).abs().max())

    assert interaction("temporal") < 1e-5
    assert interaction("poseformer") > 0.1


def test_every_joint_of_every_frame_attends_to_every_other() -> None:
    """One layer's tokens reach each other directly: with no blocks of width D, an early frame's
    wrist changes a late frame's features at another joint."""
    network = lively("joint-tokens")
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
def test_only_positions_tell_the_frames_apart(kind: str) -> None:
    network = lively(kind)
    windows, order = torch.randn(2, 5, J, 6), [3, 0, 4, 1, 2]
    with torch.no_grad():
        known = network(windows[:, order]).dense - network(windows).dense[:, order]
        network.frame_positions.zero_()
        unknown = network(windows[:, order]).dense - network(windows).dense[:, order]
    assert known.abs().max() > 0.01
    assert unknown.abs().max() < 1e-5


def test_only_positions_tell_the_joints_apart_in_joint_tokens() -> None:
    network = lively("joint-tokens")
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
def test_the_loop_trains_stores_and_restores_them(
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


def test_a_checkpoint_without_a_kind_is_poseformers(tmp_path: Path) -> None:
    network, path = network_named("poseformer", SHAPE), tmp_path / "old.pt"
    torch.save({"shape": vars(SHAPE), "averaged": network.state_dict()}, path)
    assert kind_of(averaged_network(path)) == "poseformer"


def test_they_are_exported_and_measured_as_poseformer_is(tmp_path: Path) -> None:
    """The export's own parity check compares the file with torch, whole and split."""
    info = ModelInfo(
        name="tokens",
        version="1",
        frames=5,
        channels=6,
        normalisation="person",
        readouts=("centre", "dense"),
        height_m=1.7,
        fps=(24.0, 60.0),
        licence="",
        training_commit="",
        metrics={},
        shape=vars(SHAPE),
    )
    network, path = lively("joint-tokens"), tmp_path / "tokens.onnx"
    export(network, info, path, half_storage=False)
    assert Lifter.load(path).frames == 5


def test_a_baseline_grows_as_poseformer_does() -> None:
    grown = grow(network_named("temporal", SHAPE), 15)
    assert (kind_of(grown), grown.shape.frames) == ("temporal", 15)


def test_an_unknown_network_is_refused_by_name() -> None:
    with pytest.raises(UnknownName, match="joint-tokens, poseformer, temporal"):
        network_named("lstm", SHAPE)
