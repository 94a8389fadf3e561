"""Device names -> devices checked to be usable, and ONNX Runtime sessions on them."""

import os
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import onnxruntime

from model.errors import DeviceUnavailable, InvalidInput
from model.runtime.cuda import (
    DRIVER,
    gpu_count,
    has_driver,
    missing_for_cuda,
    missing_for_tensorrt,
)

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
BUILDS = ("onnxruntime", "onnxruntime-gpu")
_NAMES = re.compile(r"auto|cpu|(cuda|tensorrt)(:\d{1,2})?(,\1:\d{1,2})*")

Provider = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class Device:
    """A CPU or a GPU; `kind` is cpu, cuda or tensorrt."""

    kind: str
    index: int = 0

    @property
    def provider(self) -> str:
        return PROVIDERS[self.kind]

    @property
    def is_gpu(self) -> bool:
        return self.kind != "cpu"

    def __str__(self) -> str:
        return f"{self.kind}:{self.index}" if self.is_gpu else self.kind


CPU = Device("cpu")


def find_devices(name: str) -> tuple[Device, ...]:
    """The devices of `auto`, `cpu`, `cuda`, `cuda:N`, `tensorrt`, or several as `cuda:0,cuda:1`;
    `auto` is the first GPU if CUDA works, else the CPU.

    Raises InvalidInput for another name, DeviceUnavailable if a GPU cannot be used or both builds
    of ONNX Runtime are installed.
    """
    if not _NAMES.fullmatch(name):
        raise InvalidInput(
            f"device must be auto, cpu, cuda, cuda:N, tensorrt, or several as cuda:0,cuda:1, "
            f"got {name[:80]!r}",
            ("device",),
        )
    _check_builds()
    if name == "auto":
        return (CPU,) if why_no_gpu() else (Device("cuda"),)
    if name == "cpu":
        return (CPU,)
    parts = [part.partition(":") for part in name.split(",")]
    devices = tuple(Device(kind, int(index or 0)) for kind, _, index in parts)
    if len(set(devices)) < len(devices):
        raise InvalidInput(f"device {name} names a GPU twice", ("device",))
    _check_gpus(devices)
    return devices


def why_no_gpu(kind: str = "cuda") -> str | None:
    """Why a GPU of that kind cannot be used, or None."""
    if PROVIDERS[kind] not in onnxruntime.get_available_providers():
        if not has_driver():
            return f"no NVIDIA driver ({DRIVER}) was found; a GPU needs it and onnxruntime-gpu"
        return (
            "the CPU build of ONNX Runtime is installed: uninstall onnxruntime, then install "
            "onnxruntime-gpu (the extra `gpu`)"
        )
    missing = missing_for_cuda() if kind == "cuda" else missing_for_tensorrt()
    return f"missing: {'; '.join(missing)}" if missing else None


def calls_at_once(device: str) -> int:
    """The number of single-threaded model calls that keep the devices busy: one per core or per
    GPU. Raises as find_devices."""
    devices = find_devices(device)
    return len(devices) if devices[0].is_gpu else os.cpu_count() or 1


def open_session(
    model: bytes | Path,
    options: onnxruntime.SessionOptions,
    device: Device,
    provider_options: dict[str, str] | None = None,
) -> onnxruntime.InferenceSession:
    """A session on the device; raises DeviceUnavailable if ONNX Runtime falls back to another."""
    providers = _providers(device, provider_options or {})
    content: Any = model if isinstance(model, bytes) else str(model)
    # without `enable_fallback=0` a failed run is repeated on the CPU, as are all later ones
    session = onnxruntime.InferenceSession(content, options, providers=providers, enable_fallback=0)
    provider = session.get_providers()[0]
    if provider != device.provider:
        raise DeviceUnavailable(
            f"{device} cannot be used: ONNX Runtime fell back to {provider} (its log says why); "
            "fix that, or set the device to cpu"
        )
    return session


def _providers(device: Device, options: dict[str, str]) -> list[Provider]:
    """In order of preference: a node that one cannot run goes to the next."""
    if not device.is_gpu:
        return [(device.provider, options)]
    index = {"device_id": str(device.index)}
    # pass sizes vary; the default would benchmark algorithms anew for each size
    cuda = index | {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}
    if device.kind == "cuda":
        return [(device.provider, cuda | options), (PROVIDERS["cpu"], {})]
    return [(device.provider, index | options), (PROVIDERS["cuda"], cuda), (PROVIDERS["cpu"], {})]


def _check_builds() -> None:
    """pip does not notice that the two builds overwrite each other's files."""
    installed = [name for name in BUILDS if _is_installed(name)]
    if len(installed) == len(BUILDS):
        raise DeviceUnavailable(
            "onnxruntime and onnxruntime-gpu are both installed, and overwrite each other's files: "
            "uninstall both, then install one of the extras `cpu` and `gpu`"
        )


def _is_installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _check_gpus(devices: tuple[Device, ...]) -> None:
    kind = devices[0].kind
    product = {"cuda": "CUDA", "tensorrt": "TensorRT"}[kind]
    if reason := why_no_gpu(kind):
        raise DeviceUnavailable(f"{product} cannot be used: {reason}")
    count = gpu_count()
    missing = [str(device) for device in devices if device.index >= count]
    if missing:
        raise DeviceUnavailable(
            f"{', '.join(missing)} cannot be used: the driver reports {count} "
            f"GPU{'s' if count > 1 else ''}, the first is {kind}:0"
        )
