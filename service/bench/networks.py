"""The networks that `poselift bench` compares, and the keypoints that they lift."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model import H36M17, KeypointSequence, Lifter

Float32 = NDArray[np.float32]
Run = Callable[[Float32], Float32]
"""Windows (B, f, 17, C) -> centres (B, 1, 17, 3)."""
JOINTS = len(H36M17.joints)


class PaperNetwork(Protocol):
    """A network of random weights: eager torch, and the same as model files."""

    def export(self, folder: Path) -> Path:
        """The file as `poselift export` writes it."""

    def export_plain(self, folder: Path) -> Path:
        """The file that torch exports without our changes."""

    def run(self, windows: Float32, batch: int | None = None) -> Float32:
        """Centres (B, 1, 17, 3) of windows, `batch` at a time, or all at once."""


class Peers(Protocol):
    """The networks of torch, which `service` never imports: model/training/networks/peers.py. Each
    runs on one thread."""

    def network(self, frames: int) -> PaperNetwork:
        """PoseFormer of the paper's size, for windows of that many frames."""

    def tiny(self, folder: Path) -> Path:
        """A model file whose lifting costs next to nothing."""

    def convolve(self, xy: Float32) -> object:
        """The convolutional peer over a whole sequence (T, 17, 2)."""


@dataclass(frozen=True)
class Network:
    """One network in three forms: eager torch, the model file that we export, and the file that
    torch exports."""

    frames: int
    torch: PaperNetwork
    ours: Path
    plain: Path

    def open(self, *, ours_last: bool = False) -> tuple[Lifter, Run]:
        """Both files, loaded. The order of loading shifts the time of either a little."""
        if ours_last:
            whole = whole_graph(self.plain)
            return Lifter.load(self.ours), whole
        return Lifter.load(self.ours), whole_graph(self.plain)


@dataclass(frozen=True)
class Trial:
    """What is measured: `windows` are the numbers of frames of the networks, `frames` the length of
    the video. peers is None if no selected line needs them; exported files go into `folder`."""

    peers: Peers | None
    folder: Path
    windows: tuple[int, ...]
    frames: int
    rounds: int
    _networks: dict[int, Network] = field(default_factory=dict)

    @property
    def torch(self) -> Peers:
        assert self.peers is not None
        return self.peers

    def networks(self) -> Iterator[Network]:
        """Largest window first; each is exported once."""
        for frames in sorted(self.windows, reverse=True):
            if frames not in self._networks:
                torch = self.torch.network(frames)
                files = torch.export(self.folder), torch.export_plain(self.folder)
                self._networks[frames] = Network(frames, torch, *files)
            yield self._networks[frames]

    def tiny(self) -> Path:
        """A model file whose lifting costs next to nothing, alone in its folder; exported once."""
        folder = self.folder / "tiny"
        if not folder.exists():
            folder.mkdir()
            self.torch.tiny(folder)
        return next(folder.glob("*.onnx"))


def whole_graph(path: Path) -> Run:
    """A model file run unchanged by ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda windows: session.run(["centre"], {"keypoints": windows})[0]


def walk(frames: int, seed: int = 0) -> KeypointSequence:
    """Synthetic keypoints of one person: each joint follows a random walk."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(frames, JOINTS, 2)).cumsum(axis=0)
    xy = (steps + rng.uniform(300, 700, (1, JOINTS, 2))).astype(np.float32)
    score = np.ones((frames, JOINTS), np.float32)
    return KeypointSequence(xy, score, (1000, 1000), 50.0, H36M17)


def split_frames(sequence: KeypointSequence) -> list[KeypointSequence]:
    """Sequences of one frame each, as a live stream receives them."""
    return [
        KeypointSequence(xy[None], score[None], sequence.image_size, sequence.fps, H36M17)
        for xy, score in zip(sequence.xy, sequence.confidence, strict=True)
    ]
