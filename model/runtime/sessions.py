"""The network's two halves on the devices that run them."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple, Protocol

import numpy as np
import onnx
import onnxruntime

from model.keypoints.sequences import Float32
from model.runtime.devices import Device, open_session
from model.runtime.host_memory import HostBuffer

MB = 1_000_000
DISABLED_OPTIMIZERS = "optimization.disable_specified_optimizers"


@dataclass(frozen=True)
class GpuOptions:
    """memory_mb: the most that one model takes of each GPU for weights and activations, MB (10^6
    bytes); None: what there is. engine_cache: folder in which TensorRT keeps the engines that it
    builds, which takes minutes; None: built at each start."""

    memory_mb: float | None = None
    engine_cache: Path | None = None


class Half(Protocol):
    """One half of the network on one device."""

    def run(self, values: Float32) -> list[Float32]:
        """The half's input (N, ..) -> its outputs."""


class Halves(NamedTuple):
    spatial: Half
    temporal: Half


class Shared:
    """A session as it is: for any number of threads at once."""

    def __init__(self, session: onnxruntime.InferenceSession):
        self._session = session
        self._input = session.get_inputs()[0].name
        self._outputs = [output.name for output in session.get_outputs()]

    def run(self, values: Float32) -> list[Float32]:
        found: list[Float32] = self._session.run(self._outputs, {self._input: values})
        return found


class Bound:
    """A session bound to host memory of its own, from and to which a GPU copies without a detour;
    for one thread at a time. An output has a row for each `rows` of the input."""

    def __init__(self, session: onnxruntime.InferenceSession, device: Device, rows: int):
        self._session = session
        self._binding = session.io_binding()
        self._rows = rows
        self._input = session.get_inputs()[0].name
        self._given = HostBuffer(device)
        self._outputs = [
            (output.name, tuple(output.shape[1:]), HostBuffer(device))
            for output in session.get_outputs()
        ]

    def run(self, values: Float32) -> list[Float32]:
        given = self._given.view(values.shape)
        given[:] = values
        where = given.shape, given.ctypes.data
        self._binding.bind_input(self._input, "cpu", 0, np.float32, *where)  # copies to the GPU
        found = [self._bind_output(len(values), *output) for output in self._outputs]
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        return [np.array(values) for values in found]

    def _bind_output(
        self, count: int, name: str, sizes: tuple[int, ...], buffer: HostBuffer
    ) -> Float32:
        values = buffer.view((count // self._rows, *sizes))
        where = values.shape, values.ctypes.data
        self._binding.bind_output(name, "cpu", 0, np.float32, *where)
        return values


class Copies:
    """The network on each of its devices. A CPU's serves all threads at once, a GPU's one at a
    time; the one that has been idle for longest is lent."""

    def __init__(self, copies: Sequence[Halves], *, exclusive: bool):
        self._copies = copies
        self._shared = None if exclusive else nullcontext(copies[0])
        self._idle: SimpleQueue[Halves] = SimpleQueue()
        for one in copies:
            self._idle.put(one)

    def __len__(self) -> int:
        return len(self._copies)

    def lent(self) -> AbstractContextManager[Halves]:
        """A copy for one run; waits while all are at work."""
        return self._shared or self._taken()

    @contextmanager
    def _taken(self) -> Iterator[Halves]:
        halves = self._idle.get()
        try:
            yield halves
        finally:
            self._idle.put(halves)


@dataclass(frozen=True)
class SessionSettings:
    """How the halves are opened: ONNX Runtime's threads of one call, and for GPUs the most tokens
    of a pass, whether a half is float16, and what else the user says."""

    threads: int
    tokens: int
    half_precision: bool
    gpu: GpuOptions

    def open(self, half: onnx.ModelProto, device: Device, rows: int) -> Half:
        """One half on one device; raises DeviceUnavailable."""
        given = self.provider_options(half, device, rows)
        content = half.SerializeToString()
        session = open_session(content, self._session_options(device), device, given)
        return Bound(session, device, rows) if device.is_gpu else Shared(session)

    def _session_options(self, device: Device) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # idle threads that spin take the cores from the other sessions
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        if not device.is_gpu:
            # on a CPU ten times as slow as the sum and the norm that it puts into one
            options.add_session_config_entry(DISABLED_OPTIMIZERS, "SkipLayerNormFusion")
            # int8 without VNNI: else sums of 16 bits overflow
            options.add_session_config_entry("session.x64quantprecision", "1")
        return options

    def provider_options(self, half: onnx.ModelProto, device: Device, rows: int) -> dict[str, str]:
        """What the device's execution provider is told of a half, whose input has a multiple of
        `rows`; makes the folder for TensorRT's engines."""
        if device.kind == "cuda":
            return self._memory("gpu_mem_limit") | {"arena_extend_strategy": "kSameAsRequested"}
        if device.kind == "tensorrt":
            return self._tensorrt(half, rows)
        return {}

    def _memory(self, option: str) -> dict[str, str]:
        """The model's two halves share what it may take."""
        limit_mb = self.gpu.memory_mb
        return {} if limit_mb is None else {option: str(int(limit_mb * MB / 2))}

    def _tensorrt(self, half: onnx.ModelProto, rows: int) -> dict[str, str]:
        """One engine for all sizes of a pass, or TensorRT builds one anew for each that is larger
        than those before; kept by content, since its own name for an engine ignores weights."""
        (given,) = half.graph.input
        sizes = "x".join(str(axis.dim_value) for axis in given.type.tensor_type.shape.dim[1:])
        most = max(rows, self.tokens // rows * rows)
        options = self._memory("trt_max_workspace_size") | {
            "trt_fp16_enable": str(int(self.half_precision)),
            "trt_profile_min_shapes": f"{given.name}:{rows}x{sizes}",
            "trt_profile_opt_shapes": f"{given.name}:{most}x{sizes}",
            "trt_profile_max_shapes": f"{given.name}:{most}x{sizes}",
        }
        if self.gpu.engine_cache is None:
            return options
        content = half.SerializeToString(deterministic=True) + onnxruntime.__version__.encode()
        folder = self.gpu.engine_cache / hashlib.sha256(content).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        return options | {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(folder),
        }
