"""Networks of published shapes with random weights, whose speed `poselift bench` compares."""

from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from model.keypoints.sequences import Float32
from model.lifting.model_files import ModelInfo
from model.lifting.options import READOUTS
from model.training.export.onnx_file import export
from model.training.networks.poseformer import JOINTS, NetworkShape, PoseFormer
from model.training.recordings import CANONICAL_HEIGHT_M

TINY = NetworkShape(frames=1, joint_width=8, spatial_depth=1, temporal_depth=1, heads=1)
EDGE = 121
"""Padding on either side: the convolutions' receptive field is 243 frames."""


class TorchPeers:
    """The networks that the benchmarks compare, each on one thread."""

    def __init__(self, shape: NetworkShape | None = None):
        """`shape` defaults to the paper's, with 6 input channels."""
        torch.set_num_threads(1)
        self._shape = replace(shape or NetworkShape(), channels=6)
        self._convolution: TemporalConvolution | None = None

    def network(self, frames: int) -> "RandomNetwork":
        return RandomNetwork(replace(self._shape, frames=frames), f"random-{frames}")

    def tiny(self, folder: Path) -> Path:
        """A model file that costs almost no time to run."""
        return RandomNetwork(replace(TINY, channels=6), "tiny").export(folder)

    @torch.inference_mode()
    def convolve(self, xy: Float32) -> Tensor:
        """The convolutional network over a whole sequence (T, 17, 2) -> (T, 17, 3)."""
        self._convolution = self._convolution or TemporalConvolution().eval()
        return self._convolution(torch.tensor(xy))


class RandomNetwork:
    """PoseFormer with random weights, in eager torch and as model files."""

    def __init__(self, shape: NetworkShape, name: str):
        torch.manual_seed(0)
        self._network = PoseFormer(shape).eval()
        self._name = name

    @torch.inference_mode()
    def run(self, windows: Float32, batch: int | None = None) -> Float32:
        """Centre readouts (B, 1, 17, 3) of windows (B, f, 17, C), `batch` (or all) at a time."""
        parts = torch.from_numpy(windows).split(batch or len(windows))
        return torch.cat([self._network(part).centre for part in parts]).numpy()

    def export(self, folder: Path) -> Path:
        """The model file as `poselift export` writes it."""
        path = folder / f"{self._name}.onnx"
        export(self._network, self._info(), path, half_storage=False)
        return path

    def export_plain(self, folder: Path) -> Path:
        """The model file without the rearrangement of arranged.py."""
        path = folder / f"{self._name}-plain.onnx"
        export(self._network, self._info(), path, half_storage=False, arranged=False)
        return path

    def _info(self) -> ModelInfo:
        shape = self._network.shape
        return ModelInfo(
            name=self._name,
            version="0",
            frames=shape.frames,
            channels=shape.channels,
            normalisation="person",
            readouts=READOUTS,
            height_m=CANONICAL_HEIGHT_M,
            fps=(1.0, 1000.0),
            licence="Apache-2.0",
            training_commit="none: random weights",
            metrics={},
            shape=asdict(shape),
        )


class TemporalConvolution(nn.Module):
    """The shape of VideoPose3D (Pavllo et al., "3D human pose estimation in video with temporal
    convolutions and semi-supervised training", CVPR 2019, section 3): a convolution of width 3 to
    1024 channels, four residual blocks (width 3, dilated 3, 9, 27, 81; then width 1), each with
    batch norm and ReLU, and a linear head. (T, 17, 2) -> (T, 17, 3), edges replicated."""

    def __init__(self, width: int = 1024):
        super().__init__()
        self.first = _unit(JOINTS * 2, width, 3, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(_unit(width, width, 3, dilation), _unit(width, width, 1, 1))
            for dilation in (3, 9, 27, 81)
        )
        self.head = nn.Conv1d(width, JOINTS * 3, 1)

    def forward(self, xy: Tensor) -> Tensor:
        x = nn.functional.pad(xy.flatten(1).T[None], (EDGE, EDGE), mode="replicate")
        x = self.first(x)
        for block in self.blocks:
            mixed = block(x)
            cut = (x.shape[-1] - mixed.shape[-1]) // 2
            x = x[..., cut : x.shape[-1] - cut] + mixed
        return self.head(x)[0].T.unflatten(-1, (JOINTS, 3))


def _unit(inputs: int, outputs: int, width: int, dilation: int) -> nn.Sequential:
    convolution = nn.Conv1d(inputs, outputs, width, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm1d(outputs), nn.ReLU())
