"""What the benchmarks ask of torch, which `service` never imports: model/training/peers.py."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


class PaperNetwork(Protocol):
    """A network of random weights: eager torch, and the same as model files."""

    def export(self, folder: Path) -> Path:
        """The file as `poselift export` writes it."""

    def export_plain(self, folder: Path) -> Path:
        """The file that torch makes of the network as it stands."""

    def run(self, windows: Float32, batch: int | None = None) -> Float32:
        """Centres (B, 1, 17, 3) of windows, `batch` at a time, or all at once."""


class Peers(Protocol):
    """Opens the networks that the benchmarks compare; each runs on one thread."""

    def network(self, frames: int) -> PaperNetwork:
        """PoseFormer of the paper's size, for windows of that many frames."""

    def tiny(self, folder: Path) -> Path:
        """A model file whose lifting costs next to nothing."""

    def convolve(self, xy: Float32) -> object:
        """The convolutional peer over a whole sequence (T, 17, 2)."""
