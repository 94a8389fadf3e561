"""The paper's baselines of PoseFormer, with the same interface, training loop and readouts.

Zheng et al., ICCV 2021, sections 3.1 and 3.2. All keep PoseFormer's two halves (`encode` reads one
frame, `decode` a window of features D = 17 * c wide), so they are exported and measured alike.
"""

from dataclasses import replace

from torch import Tensor, nn

from model.errors import UnknownName
from model.training.networks.poseformer import JOINTS, NetworkShape, PoseFormer, Readouts


class TemporalTransformer(PoseFormer):
    """(a): no spatial transformer. One linear map turns a frame's keypoints into its token; the
    temporal half is PoseFormer's."""

    def __init__(self, shape: NetworkShape):
        super().__init__(replace(shape, spatial_depth=0))
        self.shape = shape
        del self.joint_embedding, self.joint_positions, self.spatial, self.spatial_norm
        self.pose_embedding = nn.Linear(JOINTS * shape.channels, shape.frame_width)
        nn.init.trunc_normal_(self.pose_embedding.weight, std=0.02)
        nn.init.zeros_(self.pose_embedding.bias)

    def encode(self, frames: Tensor) -> Tensor:
        """The linear embedding of each frame: (N, 17, C) -> (N, D)."""
        return self.pose_embedding(frames.flatten(1))


class JointTransformer(PoseFormer):
    """(b): one transformer over all joints of all frames, each with its own position; as deep as
    PoseFormer's two halves together. Attention costs (17 f)^2, so f is small."""

    def __init__(self, shape: NetworkShape):
        depth = shape.spatial_depth + shape.temporal_depth
        super().__init__(replace(shape, spatial_depth=depth, temporal_depth=0))
        self.shape = shape
        del self.joint_positions, self.temporal, self.temporal_norm

    def encode(self, frames: Tensor) -> Tensor:
        """The linear embedding of each joint: (N, 17, C) -> (N, D)."""
        return self.joint_embedding(frames).flatten(1)

    def decode(self, features: Tensor) -> Readouts:
        """The transformer over f * 17 tokens: (B, f, D) -> Readouts."""
        joints = (features + self.frame_positions).unflatten(-1, (JOINTS, -1))  # (B, f, 17, c)
        x = self.spatial_norm(self.spatial(joints.flatten(1, 2)))  # (B, f * 17, c)
        x = x.unflatten(1, (-1, JOINTS)).flatten(2)  # (B, f, D)
        return self.read(self.frame_mean(x), x)


NETWORKS: dict[str, type[PoseFormer]] = {
    "poseformer": PoseFormer,
    "temporal": TemporalTransformer,
    "joint-tokens": JointTransformer,
}


def network_named(name: str, shape: NetworkShape) -> PoseFormer:
    """A new network of that kind. Raises UnknownName, which lists the known ones."""
    if name not in NETWORKS:
        raise UnknownName("network", name, NETWORKS)
    return NETWORKS[name](shape)


def kind_of(network: PoseFormer) -> str:
    """The inverse of network_named."""
    return next(name for name, kind in NETWORKS.items() if type(network) is kind)
