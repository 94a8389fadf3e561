"""A device name -> ONNX Runtime's execution providers, or a clear refusal."""

import os
import re

import onnxruntime

from model.errors import DeviceUnavailable, InvalidInput

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"

Provider = tuple[str, dict[str, str]]


def execution_providers(device: str) -> list[Provider]:
    """Providers for `auto`, `cpu`, `cuda` or `cuda:N`; `auto` takes CUDA where it was built in.

    Raises InvalidInput for another name, DeviceUnavailable when CUDA is asked for and this ONNX
    Runtime lacks it. That a provider is built in does not mean that it works: see check_provider.
    """
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", device)
    if not match:
        raise InvalidInput(f"device is auto, cpu, cuda or cuda:N, got {device!r}", ("device",))
    built_in = CUDA in onnxruntime.get_available_providers()
    if device == "cpu" or (device == "auto" and not built_in):
        return [(CPU, {})]
    if not built_in:
        raise DeviceUnavailable(
            "CUDA was asked for, but the CPU build of ONNX Runtime is installed: "
            "uninstall onnxruntime, then install onnxruntime-gpu (the extra `gpu`)"
        )
    return [(CUDA, {"device_id": match[1] or "0"}), (CPU, {})]


def calls_at_once(device: str) -> int:
    """Model calls of one thread that keep a device busy: one a core; a GPU runs one at a time.
    Raises as execution_providers."""
    on_gpu = execution_providers(device)[0][0] == CUDA
    return 1 if on_gpu else os.cpu_count() or 1


def check_provider(device: str, session: onnxruntime.InferenceSession) -> str:
    """The provider that a session really got; raises DeviceUnavailable if it is not CUDA as asked.

    ONNX Runtime itself falls back to the CPU with a line in its log.
    """
    provider: str = session.get_providers()[0]
    if device.startswith("cuda") and provider != CUDA:
        raise DeviceUnavailable(
            "CUDA was asked for and did not come up: a working NVIDIA driver, CUDA 13 and cuDNN 9 "
            "are needed (the extra `gpu` brings the last two)"
        )
    return provider


def device_of(session: onnxruntime.InferenceSession) -> str:
    """Where a session really runs: cpu or cuda:N."""
    if session.get_providers()[0] != CUDA:
        return "cpu"
    return f"cuda:{session.get_provider_options()[CUDA]['device_id']}"
