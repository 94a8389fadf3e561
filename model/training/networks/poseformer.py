"""PoseFormer: a spatial transformer over a frame's joints, a temporal one over a window's frames.

Zheng et al., "3D Human Pose Estimation with Spatial and Temporal Transformers", ICCV 2021. Axes:
B windows, f frames, J = 17 joints, C input channels, c joint width, D = J * c frame width.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

JOINTS = 17


@dataclass(frozen=True)
class NetworkShape:
    """Hyperparameters of the network, stored in checkpoints and model files.

    The defaults are the paper's: 2 input channels, 32 per joint, 4 blocks of 8 heads in each half.
    Raises ValueError.
    """

    frames: int = 27
    channels: int = 2
    joint_width: int = 32
    spatial_depth: int = 4
    temporal_depth: int = 4
    heads: int = 8
    mlp_ratio: float = 2.0
    drop_path: float = 0.1

    def __post_init__(self) -> None:
        if self.frames < 1 or self.frames % 2 == 0:
            raise ValueError(f"frames must be odd (the centre frame is read), got {self.frames}")
        if self.joint_width % self.heads:
            raise ValueError(
                f"joint_width must be a multiple of heads, got {self.joint_width} and {self.heads}"
            )

    @property
    def frame_width(self) -> int:
        return JOINTS * self.joint_width


class Readouts(NamedTuple):
    """centre (B, 1, 17, 3) and dense (B, f, 17, 3), metres, relative to the pelvis."""

    centre: Tensor
    dense: Tensor


class Attention(nn.Module):
    """Multi-head self-attention over the tokens of (N, tokens, width)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        qkv = self.qkv(x).reshape(n, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (N, heads, tokens, head width)
        # heads are narrow: a fused attention kernel is no faster
        weights = (q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(n, tokens, width)
        return self.proj(mixed)


class Block(nn.Module):
    """Pre-norm transformer block with stochastic depth of rate `drop_path`."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, drop_path: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._drop(self.attention(self.norm1(x)))
        return x + self._drop(self.mlp(self.norm2(x)))

    def _drop(self, branch: Tensor) -> Tensor:
        """Stochastic depth: per sample 0 or the branch, scaled to keep the mean."""
        if not self.training or self.drop_path == 0:
            return branch
        keep = torch.rand(len(branch), 1, 1, device=branch.device) >= self.drop_path
        return branch * keep / (1 - self.drop_path)


class PoseFormer(nn.Module):
    """(B, f, 17, C) -> 3D joints of the centre frame and, from the same pass, of every frame."""

    def __init__(self, shape: NetworkShape):
        super().__init__()
        self.shape = shape
        width = shape.frame_width
        self.joint_embedding = nn.Linear(shape.channels, shape.joint_width)
        self.joint_positions = nn.Parameter(torch.zeros(1, JOINTS, shape.joint_width))
        self.spatial = _blocks(shape, shape.joint_width, shape.spatial_depth)
        self.spatial_norm = nn.LayerNorm(shape.joint_width, eps=1e-6)
        self.frame_positions = nn.Parameter(torch.zeros(1, shape.frames, width))
        self.temporal = _blocks(shape, width, shape.temporal_depth)
        self.temporal_norm = nn.LayerNorm(width, eps=1e-6)
        self.frame_mean = nn.Conv1d(shape.frames, 1, kernel_size=1)
        self.head_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, JOINTS * 3)
        self.apply(_initialise)
        for positions in (self.joint_positions, self.frame_positions):
            nn.init.trunc_normal_(positions, std=0.02)
        nn.init.constant_(self.frame_mean.weight, 1 / shape.frames)

    def forward(self, keypoints: Tensor) -> Readouts:
        windows, frames = keypoints.shape[:2]
        features = self.encode(keypoints.flatten(0, 1))
        return self.decode(features.reshape(windows, frames, -1))

    def encode(self, frames: Tensor) -> Tensor:
        """The spatial half, frame by frame: (N, 17, C) -> (N, D)."""
        x = self.joint_embedding(frames) + self.joint_positions
        return self.spatial_norm(self.spatial(x)).flatten(1)

    def decode(self, features: Tensor) -> Readouts:
        """The temporal half and both readouts: (B, f, D) -> Readouts."""
        x = self.temporal_norm(self.temporal(features + self.frame_positions))
        return self.read(self.frame_mean(x), x)

    def read(self, mean: Tensor, tokens: Tensor) -> Readouts:
        """One LayerNorm and Linear for the weighted mean (B, 1, D) and the tokens (B, f, D)."""
        rows = self.head(self.head_norm(torch.cat([mean, tokens], dim=1)))
        poses = rows.unflatten(-1, (JOINTS, 3))
        return Readouts(poses[:, :1], poses[:, 1:])

    def start_at_centre(self) -> None:
        """Initialise the weighted mean to the centre frame's token. Used with the dense loss, where
        each token encodes its own frame and a plain mean would blur them."""
        with torch.no_grad():
            self.frame_mean.weight.zero_()
            self.frame_mean.weight[:, self.shape.frames // 2] = 1


def _blocks(shape: NetworkShape, width: int, depth: int) -> nn.Sequential:
    """Blocks whose drop rate grows linearly from 0 to `drop_path`."""
    rates = torch.linspace(0, shape.drop_path, depth).tolist()
    return nn.Sequential(*(Block(width, shape.heads, shape.mlp_ratio, rate) for rate in rates))


def _initialise(module: nn.Module) -> None:
    """As in vision transformers: truncated normal weights (std 0.02), zero biases."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
