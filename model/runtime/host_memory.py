"""Host memory from and to which a GPU copies directly."""

import ctypes
import logging
import mmap
import weakref
from collections.abc import Callable
from math import prod

import numpy as np

from model.keypoints.sequences import Float32
from model.runtime.cuda import cuda_runtime
from model.runtime.devices import Device

_PORTABLE = 1
"""cudaHostRegisterPortable: pinned for every GPU, not only the current one."""
_BYTES = np.dtype(np.float32).itemsize

Unpin = Callable[[], object]

_log = logging.getLogger("poselift")


class HostBuffer:
    """Reused float32 memory of one caller, grown to its largest use; pinned for a GPU."""

    def __init__(self, device: Device):
        self._device = device
        self._values = np.empty(0, np.float32)
        self._unpin: Unpin | None = None

    def view(self, shape: tuple[int, ...]) -> Float32:
        """Uninitialised memory in that shape, valid until the next call."""
        size = prod(shape)
        if size > self._values.size:
            self._grow(size)
        return self._values[:size].reshape(shape)

    def _grow(self, size: int) -> None:
        if self._unpin is not None:
            self._unpin()
        # own pages: pinning works by pages and must not pin neighbouring allocations
        self._values = np.frombuffer(mmap.mmap(-1, size * _BYTES), np.float32)
        self._unpin = self._pin() if self._device.is_gpu else None

    def _pin(self) -> Unpin | None:
        runtime = cuda_runtime()
        address = ctypes.c_void_p(self._values.ctypes.data)
        runtime.cudaSetDevice(self._device.index)
        size = ctypes.c_size_t(self._values.nbytes)
        if error := runtime.cudaHostRegister(address, size, _PORTABLE):
            _log.warning("%s: memory could not be pinned (CUDA error %d)", self._device, error)
            return None
        return weakref.finalize(self, runtime.cudaHostUnregister, address)
