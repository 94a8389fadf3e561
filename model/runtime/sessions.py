"""The two halves of the network as ONNX Runtime sessions on their devices."""

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
    """memory_mb: limit of one model's weights and activations on each GPU, MB (10^6 bytes); None:
    no limit. engine_cache: folder where TensorRT caches its engines, which take minutes to build;
    None: built at each start."""

    memory_mb: float | None = None
    engine_cache: Path | None = None


class Half(Protocol):
    """One half of the network on one device."""

    def run(self, values: Float32) -> list[Float32]:
        """Input (N, ..) -> outputs."""


class Halves(NamedTuple):
    spatial: Half
    temporal: Half


class SharedSession:
    """A session used by any number of threads at once."""

    def __init__(self, session: onnxruntime.InferenceSession):
        self._session = session
        self._input = session.get_inputs()[0].name
        self._outputs = [output.name for output in session.get_outputs()]

    def run(self, values: Float32) -> list[Float32]:
        outputs: list[Float32] = self._session.run(self._outputs, {self._input: values})
        return outputs


class BoundSession:
    """A session bound to its own host memory, from and to which a GPU copies directly; for one
    thread at a time. Each `rows` rows of the input give one row of an output."""

    def __init__(self, session: onnxruntime.InferenceSession, device: Device, rows: int):
        self._session = session
        self._binding = session.io_binding()
        self._rows = rows
        self._input = session.get_inputs()[0].name
        self._input_buffer = HostBuffer(device)
        self._outputs = [
            (output.name, tuple(output.shape[1:]), HostBuffer(device))
            for output in session.get_outputs()
        ]

    def run(self, values: Float32) -> list[Float32]:
        buffer = self._input_buffer.view(values.shape)
        buffer[:] = values
        memory = buffer.shape, buffer.ctypes.data
        self._binding.bind_input(self._input, "cpu", 0, np.float32, *memory)  # copies to the GPU
        outputs = [self._bind_output(len(values), *output) for output in self._outputs]
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        return [np.array(output) for output in outputs]

    def _bind_output(
        self, count: int, name: str, sizes: tuple[int, ...], buffer: HostBuffer
    ) -> Float32:
        values = buffer.view((count // self._rows, *sizes))
        memory = values.shape, values.ctypes.data
        self._binding.bind_output(name, "cpu", 0, np.float32, *memory)
        return values


class Copies:
    """The network on each of its devices: shared by all threads on a CPU; on GPUs each copy
    serves one thread at a time, the longest idle first."""

    def __init__(self, copies: Sequence[Halves], *, exclusive: bool):
        self._copies = copies
        self._shared = None if exclusive else nullcontext(copies[0])
        self._idle: SimpleQueue[Halves] = SimpleQueue()
        for halves in copies:
            self._idle.put(halves)

    def __len__(self) -> int:
        return len(self._copies)

    def acquire(self) -> AbstractContextManager[Halves]:
        """A copy for one run; waits while all are in use."""
        return self._shared or self._acquire_idle()

    @contextmanager
    def _acquire_idle(self) -> Iterator[Halves]:
        halves = self._idle.get()
        try:
            yield halves
        finally:
            self._idle.put(halves)


@dataclass(frozen=True)
class SessionSettings:
    """How the halves are opened: threads per model call; for GPUs the most tokens in a pass,
    whether a half is float16, and the user's options."""

    threads: int
    tokens: int
    half_precision: bool
    gpu: GpuOptions

    def open(self, half: onnx.ModelProto, device: Device, rows: int) -> Half:
        """One half on one device; raises DeviceUnavailable."""
        options = self.provider_options(half, device, rows)
        content = half.SerializeToString()
        session = open_session(content, self._session_options(device), device, options)
        return BoundSession(session, device, rows) if device.is_gpu else SharedSession(session)

    def _session_options(self, device: Device) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # spinning idle threads take cores from other sessions
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        if not device.is_gpu:
            # on a CPU ten times slower than the separate sum and norm
            options.add_session_config_entry(DISABLED_OPTIMIZERS, "SkipLayerNormFusion")
            # int8 on CPUs without VNNI: 16-bit sums overflow otherwise
            options.add_session_config_entry("session.x64quantprecision", "1")
        return options

    def provider_options(self, half: onnx.ModelProto, device: Device, rows: int) -> dict[str, str]:
        """Options of the execution provider for a half whose input has a multiple of `rows` rows;
        creates TensorRT's engine folder."""
        if device.kind == "cuda":
            return self._memory("gpu_mem_limit") | {"arena_extend_strategy": "kSameAsRequested"}
        if device.kind == "tensorrt":
            return self._tensorrt(half, rows)
        return {}

    def _memory(self, option: str) -> dict[str, str]:
        """The two halves share the model's limit equally."""
        limit_mb = self.gpu.memory_mb
        return {} if limit_mb is None else {option: str(int(limit_mb * MB / 2))}

    def _tensorrt(self, half: onnx.ModelProto, rows: int) -> dict[str, str]:
        """One engine for all pass sizes; without a profile TensorRT rebuilds it for each larger
        pass. Cached by content hash, because TensorRT's own engine name ignores the weights."""
        (graph_input,) = half.graph.input
        name, tensor = graph_input.name, graph_input.type.tensor_type
        sizes = "x".join(str(axis.dim_value) for axis in tensor.shape.dim[1:])
        most = max(rows, self.tokens // rows * rows)
        options = self._memory("trt_max_workspace_size") | {
            "trt_fp16_enable": str(int(self.half_precision)),
            "trt_profile_min_shapes": f"{name}:{rows}x{sizes}",
            "trt_profile_opt_shapes": f"{name}:{most}x{sizes}",
            "trt_profile_max_shapes": f"{name}:{most}x{sizes}",
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
