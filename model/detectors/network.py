"""An ONNX network that reads images, on the lifter's device."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime

from model.errors import DetectorUnavailable, PoseError
from model.files import file_sha256
from model.keypoints.sequences import Float32, Image
from model.runtime.devices import find_devices, open_session

THREADS = 2
"""Per session; the service processes half as many videos at once as there are cores."""
CACHED_NETWORKS = 4


class ImageNetwork:
    """A session, immutable and shared; the state of a stream is kept elsewhere."""

    def __init__(self, path: Path, device: str):
        self.name = f"{path.name.partition('.')[0]}-{file_sha256(path)[:8]}"
        self._session = _session(path, device)
        self._input = self._session.get_inputs()[0]
        self.input_size = self._input_size()
        self.output_shapes = [output.shape for output in self._session.get_outputs()]

    def run(self, images: Sequence[Image], mean: Float32, spread: Float32) -> list[Float32]:
        """Images of the input's size (B, height, width, 3) -> each output (B, ...).

        The network reads (pixel - mean) / spread, per channel in the order of the images.
        """
        batch = (np.stack(images).astype(np.float32) - mean) / spread
        planes = np.ascontiguousarray(batch.transpose(0, 3, 1, 2), np.float32)  # (B, 3, h, w)
        if isinstance(self._input.shape[0], int):
            singles = [self._session.run(None, {self._input.name: p[None]}) for p in planes]
            return [np.concatenate(outputs) for outputs in zip(*singles, strict=True)]
        outputs: list[Float32] = self._session.run(None, {self._input.name: planes})
        return outputs

    def _input_size(self) -> tuple[int, int]:
        """(width, height) px; raises DetectorUnavailable if the input is not images."""
        shape = self._input.shape
        is_image = len(self._session.get_inputs()) == 1 and len(shape) == 4 and shape[1] == 3
        is_sized = is_image and all(isinstance(side, int) for side in shape[2:])
        if not is_sized or (isinstance(shape[0], int) and shape[0] != 1):
            raise DetectorUnavailable(
                f"{self.name}: expected one input (batch, 3, height, width) of fixed height and "
                f"width, the batch 1 or dynamic, got {shape}"
            )
        return shape[3], shape[2]


@lru_cache(CACHED_NETWORKS)
def _opened(path: Path, changed_ns: int, device: str) -> ImageNetwork:
    return ImageNetwork(path, device)


def open_network(path: Path, device: str) -> ImageNetwork:
    """The network in a file, cached until the file changes.

    Raises DetectorUnavailable for another kind of file, DeviceUnavailable.
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
    except Exception as error:  # ONNX Runtime's errors have no common base class
        raise DetectorUnavailable(f"{path.name} is not a usable ONNX network: {error}") from error
