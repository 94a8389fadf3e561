"""The networks that the paper sets beside PoseFormer: same interface, same loop, same readouts.

Zheng et al., ICCV 2021, sections 3.1 and 3.2: what does each of the two halves bring? All three
keep PoseFormer's cut (`encode` sees one frame, `decode` a window of features D = 17 * c wide), so
that all three are exported and measured through the same path.
"""

from dataclasses import replace

from torch import Tensor, nn

from model.errors import UnknownName
from model.training.networks.poseformer import JOINTS, NetworkShape, PoseFormer, Readouts


class TemporalTransformer(PoseFormer):
    """(a): no spatial half. A frame's pose becomes its token by one linear map, so that joints
    meet in the mixing of channels alone; the temporal half is PoseFormer's."""

    def __init__(self, shape: NetworkShape):
        super().__init__(replace(shape, spatial_depth=0))
        self.shape = shape
        del self.joint_embedding, self.joint_positions, self.spatial, self.spatial_norm
        self.pose_embedding = nn.Linear(JOINTS * shape.channels, shape.frame_width)
        nn.init.trunc_normal_(self.pose_embedding.weight, std=0.02)
        nn.init.zeros_(self.pose_embedding.bias)

    def encode(self, frames: Tensor) -> Tensor:
        """The linear embedding, each frame on its own: (N, 17, C) -> (N, D)."""
        return self.pose_embedding(frames.flatten(1))


class JointTransformer(PoseFormer):
    """(b): one transformer whose tokens are all joints of all frames, each with a position of its
    own; as deep as PoseFormer's two halves together. Attention costs (17 f)^2, so f is small."""

    def __init__(self, shape: NetworkShape):
        depth = shape.spatial_depth + shape.temporal_depth
        super().__init__(replace(shape, spatial_depth=depth, temporal_depth=0))
        self.shape = shape
        del self.joint_positions, self.temporal, self.temporal_norm

    def encode(self, frames: Tensor) -> Tensor:
        """The linear embedding of each joint: (N, 17, C) -> (N, D)."""
        return self.joint_embedding(frames).flatten(1)

    def decode(self, features: Tensor) -> Readouts:
        """The transformer over f * 17 tokens, and both readouts: (B, f, D) -> Readouts."""
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
    """A new network of that kind; raises UnknownName, which lists those that exist."""
    if name not in NETWORKS:
        raise UnknownName("network", name, NETWORKS)
    return NETWORKS[name](shape)


def kind_of(network: PoseFormer) -> str:
    """The inverse of network_named."""
    return next(name for name, kind in NETWORKS.items() if type(network) is kind)
