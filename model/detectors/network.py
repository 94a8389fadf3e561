"""An ONNX network that reads pictures, on the execution provider that the lifter runs on."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime

from model.detectors.view import Picture
from model.errors import DetectorUnavailable, PoseError
from model.keypoints.sequences import Float32
from model.runtime.devices import find_devices, open_session

THREADS = 2
"""Of one session; the service works on half as many videos as there are cores."""
KEPT_OPEN = 4


class PictureNetwork:
    """A session, immutable and shared: what each stream remembers is kept elsewhere."""

    def __init__(self, path: Path, device: str):
        self.name = f"{path.name.partition('.')[0]}-{_digest(path)[:8]}"
        self._session = _session(path, device)
        self._input = self._session.get_inputs()[0]
        self.input_size = self._input_size()
        self.output_shapes = [output.shape for output in self._session.get_outputs()]

    def run(self, pictures: Sequence[Picture], mean: Float32, spread: Float32) -> list[Float32]:
        """Pictures of the input's size (B, height, width, 3) -> each output (B, ...).

        The network reads (pixel - mean) / spread, channel by channel in the pictures' order.
        """
        batch = (np.stack(pictures).astype(np.float32) - mean) / spread
        planes = np.ascontiguousarray(batch.transpose(0, 3, 1, 2), np.float32)  # (B, 3, h, w)
        if isinstance(self._input.shape[0], int):
            alone = [self._session.run(None, {self._input.name: p[None]}) for p in planes]
            return [np.concatenate(outputs) for outputs in zip(*alone, strict=True)]
        outputs: list[Float32] = self._session.run(None, {self._input.name: planes})
        return outputs

    def _input_size(self) -> tuple[int, int]:
        """(width, height) px; raises DetectorUnavailable for a network that reads no pictures."""
        shape = self._input.shape
        is_one = len(self._session.get_inputs()) == 1 and len(shape) == 4 and shape[1] == 3
        is_sized = is_one and all(isinstance(side, int) for side in shape[2:])
        if not is_sized or (isinstance(shape[0], int) and shape[0] != 1):
            raise DetectorUnavailable(
                f"{self.name}: expected one input (pictures, 3, height, width) of a fixed size, "
                f"one picture or any number at a time, got {shape}"
            )
        return shape[3], shape[2]


@lru_cache(KEPT_OPEN)
def _opened(path: Path, changed_ns: int, device: str) -> PictureNetwork:
    return PictureNetwork(path, device)


def open_network(path: Path, device: str) -> PictureNetwork:
    """The network in a file, opened once as long as the file stays the same.

    Raises DetectorUnavailable where it is none, DeviceUnavailable.
    """
    return _opened(path, path.stat().st_mtime_ns, device)


def _session(path: Path, device: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    try:
        return open_session(path, options, find_devices(device)[0])
    except PoseError:
        raise
    except Exception as error:  # ONNX Runtime's errors have no common class of their own
        raise DetectorUnavailable(f"{path.name} is no network that can be run: {error}") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
