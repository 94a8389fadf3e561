"""What is lifted, and with which networks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

from model import H36M17, KeypointSequence, Lifter
from service.bench.peers import Float32, PaperNetwork, Peers

JOINTS = len(H36M17.joints)


@dataclass(frozen=True)
class Files:
    """One network as two model files: as we export it, and the way torch does."""

    ours: Path
    plain: Path

    def open(self, *, ours_last: bool = False) -> "Opened":
        """Which of the two is loaded first is not quite the same for either."""
        if ours_last:
            whole = whole_graph(self.plain)
            return Opened(Lifter.load(self.ours), whole)
        return Opened(Lifter.load(self.ours), whole_graph(self.plain))


class Opened(NamedTuple):
    """One network as we run it, and as one ONNX graph."""

    lifter: Lifter
    whole: Callable[[Float32], Float32]


@dataclass(frozen=True)
class Network:
    """One network thrice: as we run it, as one ONNX graph the way torch exports it, and in eager
    torch."""

    lifter: Lifter
    whole: Callable[[Float32], Float32]
    torch: PaperNetwork
    files: Files


@dataclass(frozen=True)
class Trial:
    """peers is None where the chosen lines need none; `folder` takes the exported files."""

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

    def network(self, frames: int) -> Network:
        """The network of that window, exported once."""
        if frames not in self._networks:
            eager = self.torch.network(frames)
            files = Files(eager.export(self.folder), eager.export_plain(self.folder))
            self._networks[frames] = Network(*files.open(), eager, files)
        return self._networks[frames]

    def tiny(self) -> Path:
        """A model file whose lifting costs next to nothing, alone in its folder; exported once."""
        folder = self.folder / "tiny"
        if not folder.exists():
            folder.mkdir()
            self.torch.tiny(folder)
        return next(folder.glob("*.onnx"))

    def files(self) -> Iterator[Path]:
        """The model files of the windows asked for."""
        for frames in self.windows:
            yield self.torch.network(frames).export(self.folder)

    def networks(self) -> Iterator[Network]:
        """Those of the windows asked for, the longest first."""
        for frames in sorted(self.windows, reverse=True):
            yield self.network(frames)


def whole_graph(path: Path) -> Callable[[Float32], Float32]:
    """A model file as any user of ONNX Runtime would run it, on one thread: windows (B, f, 17, C)
    -> centres (B, 1, 17, 3)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda windows: session.run(["centre"], {"keypoints": windows})[0]


def walk(frames: int, seed: int = 0) -> KeypointSequence:
    """Somebody who wanders through the picture."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(frames, JOINTS, 2)).cumsum(axis=0)
    xy = (steps + rng.uniform(300, 700, (1, JOINTS, 2))).astype(np.float32)
    score = np.ones((frames, JOINTS), np.float32)
    return KeypointSequence(xy, score, (1000, 1000), 50.0, H36M17)


def one_by_one(sequence: KeypointSequence) -> list[KeypointSequence]:
    """Its frames, as a stream brings them."""
    return [
        KeypointSequence(xy[None], score[None], sequence.image_size, sequence.fps, H36M17)
        for xy, score in zip(sequence.xy, sequence.confidence, strict=True)
    ]
