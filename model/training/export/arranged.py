"""PoseFormer rearranged for inference: the same outputs as networks/poseformer.py, faster.

A runtime needs few, large operations on contiguous memory. Outputs differ only by rounding
(onnx_file.py compares the two). Changes:

- Tokens are rows (tokens * N, width), grouped by position, instead of (N, tokens, width). Linear
  layers become plain matrix products with bias, heads are read in place, and only the output of
  attention is transposed.
- A frame's features are centred; the LayerNorms after them do not depend on the mean.
- The first temporal block's queries, keys and values are the sum of a frame's share, computed once
  per frame, and its position's, a constant: see FrameShares.
"""

import torch
from torch import Tensor, nn

from model.training.networks.poseformer import JOINTS, Attention, Block, PoseFormer


class _Part(nn.Module):
    """A part of a network. Rearranged weights are stored in the file under their own names, by
    which networks/stored.py reads them."""

    def __init__(self, network: PoseFormer):
        super().__init__()
        self.network = network

    def _store(self, name: str, values: Tensor) -> None:
        self.register_buffer(name, values.detach().contiguous())


class SpatialHalf(_Part):
    """(N, 17, C) -> centred features (N, D)."""

    embedding: Tensor
    positions: Tensor

    def __init__(self, network: PoseFormer):
        super().__init__(network)
        embedding = network.joint_embedding
        self._store("embedding", embedding.weight.T)  # (C, c)
        self._store("positions", network.joint_positions.transpose(0, 1) + embedding.bias)

    def forward(self, joints: Tensor) -> Tensor:
        x = joints.transpose(0, 1) @ self.embedding + self.positions  # (17, N, c)
        x = x.flatten(0, 1)
        for block in _blocks(self.network.spatial):
            x = _block(block, x, JOINTS)
        x = self.network.spatial_norm(x).unflatten(0, (JOINTS, -1))
        features = x.transpose(0, 1).flatten(1)  # (N, D)
        return features - features.mean(dim=-1, keepdim=True)


class FrameShares(_Part):
    """Centred features (N, D) -> rows (N, 4 D): the features, and their share of the first block's
    queries, keys and values.

    For features u and position e, both centred, LayerNorm gives g * (u + e) * r + b with
    r = 1 / sqrt(mean((u + e)^2) + eps). With the block's weights W the product is
    (W (g * u) + W (g * e)) * r + W b: the first term depends on the frame alone, the second is
    constant, and only r depends on both.
    """

    scale: Tensor
    matrix: Tensor

    def __init__(self, network: PoseFormer):
        super().__init__(network)
        first = _blocks(network.temporal)[0]
        self._store("scale", first.norm1.weight)
        self._store("matrix", first.attention.qkv.weight.T)  # (D, 3 D)

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features, (features * self.scale) @ self.matrix], dim=-1)


class TemporalHalf(_Part):
    """Rows (N, 4 D) of consecutive windows -> centre (B, 1, 17, 3) and, with `dense`, dense."""

    positions: Tensor
    position_shares: Tensor
    share_bias: Tensor
    frame_weights: Tensor

    def __init__(self, network: PoseFormer, dense: bool):
        super().__init__(network)
        self.dense = dense
        first = _blocks(network.temporal)[0]
        weight = first.attention.qkv.weight
        positions = network.frame_positions.transpose(0, 1)  # (f, 1, D)
        positions = positions - positions.mean(dim=-1, keepdim=True)
        self._store("positions", positions)
        self._store("position_shares", (positions * first.norm1.weight) @ weight.T)
        self._store("share_bias", first.attention.qkv.bias + weight @ first.norm1.bias)
        self._store("frame_weights", network.frame_mean.weight[0].T)  # (1, f)

    def forward(self, rows: Tensor) -> tuple[Tensor, ...]:
        network, frames = self.network, self.network.shape.frames
        width = network.shape.frame_width
        windows = rows.reshape(-1, frames, 4 * width).transpose(0, 1)  # (f, B, 4 D)
        first, *others = _blocks(network.temporal)
        x = windows[..., :width] + self.positions
        # LayerNormalization has this as its third output, but TensorRT does not support that
        scale = (x.square().mean(dim=-1, keepdim=True) + first.norm1.eps).rsqrt()
        qkv = (windows[..., width:] + self.position_shares) * scale + self.share_bias
        x = _mix(first, x.flatten(0, 1), qkv, frames)
        for block in others:
            x = _block(block, x, frames)
        x = network.temporal_norm(x)  # (f * B, D)
        # the mean's bias is the same for all channels, so the norm that follows removes it
        mean = (self.frame_weights @ x.reshape(frames, -1)).reshape(-1, width)  # (B, D)
        if not self.dense:
            return (self._read(mean, 1),)
        return self._read(torch.cat([mean, x]), 1 + frames).split([1, frames], dim=1)

    def _read(self, rows: Tensor, tokens: int) -> Tensor:
        """(tokens * B, D) -> (B, tokens, 17, 3)."""
        joints = self.network.head(self.network.head_norm(rows))
        return joints.reshape(tokens, -1, JOINTS, 3).transpose(0, 1)


def _blocks(half: nn.Sequential) -> list[Block]:
    return [block for block in half if isinstance(block, Block)]


def _block(block: Block, x: Tensor, tokens: int) -> Tensor:
    return _mix(block, x, block.attention.qkv(block.norm1(x)), tokens)


def _mix(block: Block, x: Tensor, qkv: Tensor, tokens: int) -> Tensor:
    """A block's output for rows (tokens * N, width), given their queries, keys and values."""
    x = x + _attend(block.attention, qkv, tokens)
    return x + block.mlp(block.norm2(x))


def _attend(attention: Attention, qkv: Tensor, tokens: int) -> Tensor:
    """(.., 3 width), tokens * N rows -> (tokens * N, width)."""
    heads, width = attention.heads, attention.proj.in_features
    parts = qkv.reshape(tokens, -1, 3 * heads, width // heads).split(heads, dim=2)
    q, k, v = (part.permute(1, 2, 0, 3) for part in parts)  # (N, heads, tokens, head width)
    weights = (q @ k.transpose(-2, -1) * (width // heads) ** -0.5).softmax(dim=-1)
    return attention.proj((weights @ v).permute(2, 0, 1, 3).reshape(-1, width))
