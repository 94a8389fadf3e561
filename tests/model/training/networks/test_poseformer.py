"""PoseFormer: sizes, readouts, gradients."""

import pytest
import torch

from model.training.networks.poseformer import Block, NetworkShape, PoseFormer

SMALL = NetworkShape(
    frames=5, channels=6, joint_width=8, spatial_depth=2, temporal_depth=2, heads=2
)


@pytest.mark.parametrize(
    ("frames", "parameters"), [(9, 9_563_645), (27, 9_573_455), (81, 9_602_885)]
)
def test_parameter_count_equals_published_size(frames: int, parameters: int) -> None:
    network = PoseFormer(NetworkShape(frames=frames))
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("frames", [1, 5, 9])
@pytest.mark.parametrize("channels", [2, 6])
def test_readout_shapes(frames: int, channels: int) -> None:
    shape = NetworkShape(frames=frames, channels=channels, joint_width=8, heads=4)
    readouts = PoseFormer(shape)(torch.randn(3, frames, 17, channels))
    assert readouts.centre.shape == (3, 1, 17, 3)
    assert readouts.dense.shape == (3, frames, 17, 3)


def test_both_readouts_share_one_pass_and_one_head() -> None:
    network = PoseFormer(SMALL).eval()
    calls = []
    for module in (*network.temporal, network.head, network.head_norm):
        module.register_forward_hook(lambda m, *_: calls.append(m))
    readouts = network(torch.randn(2, 5, 17, 6))
    assert len(calls) == len(set(calls)) == 4
    network.start_at_centre()
    readouts = network(torch.randn(2, 5, 17, 6))
    bias = network.frame_mean.bias
    with torch.no_grad():
        bias.zero_()
    x = torch.randn(2, 5, 17, 6)
    readouts = network(x)
    torch.testing.assert_close(readouts.centre[:, 0], readouts.dense[:, 2])


def test_network_equals_its_two_halves() -> None:
    network = PoseFormer(SMALL).eval()
    x = torch.randn(3, 5, 17, 6)
    features = torch.stack([network.encode(window) for window in x])
    torch.testing.assert_close(network.decode(features).centre, network(x).centre)


def test_gradient_reaches_every_parameter() -> None:
    network = PoseFormer(SMALL)
    readouts = network(torch.randn(4, 5, 17, 6))
    (readouts.centre.square().mean() + readouts.dense.square().mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_attention_equals_torch() -> None:
    torch.manual_seed(0)
    block = Block(16, 4, 2.0, 0.0).attention
    oracle = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        block.qkv.bias.normal_()
        oracle.in_proj_weight.copy_(block.qkv.weight)
        oracle.in_proj_bias.copy_(block.qkv.bias)
        oracle.out_proj.weight.copy_(block.proj.weight)
        oracle.out_proj.bias.copy_(block.proj.bias)
    x = torch.randn(3, 7, 16)
    torch.testing.assert_close(block(x), oracle(x, x, x, need_weights=False)[0])


def test_stochastic_depth_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    shape = NetworkShape(frames=1, joint_width=8, heads=2, drop_path=0.1, spatial_depth=5)
    rates = [block.drop_path for block in PoseFormer(shape).spatial]
    assert rates == pytest.approx([0, 0.025, 0.05, 0.075, 0.1])
    block = Block(8, 2, 2.0, 0.25).train()
    dropped = block._drop(torch.ones(20000, 3, 8))
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert (dropped == dropped[:, :1, :1]).all()
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    assert block.eval()._drop(dropped) is dropped


@pytest.mark.parametrize("fields", [{"frames": 8}, {"frames": 0}, {"joint_width": 30}])
def test_invalid_shape_raises(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        NetworkShape(**fields)
