"""The libraries that CUDA and TensorRT need, and which of them are missing.

Checked before start, because ONNX Runtime falls back to the CPU with only a line in its log.
"""

import ctypes
import io
from collections.abc import Iterable
from contextlib import redirect_stdout, suppress
from importlib.util import find_spec
from pathlib import Path

import onnxruntime

DRIVER = "libcuda.so.1"
DRIVER_OF_CUDA = {12: 525, 13: 580}
"""The oldest NVIDIA driver for each CUDA version (CUDA release notes, minimum drivers)."""
CUDNN = "libcudnn.so.9"
TENSORRT = ("libnvinfer.so.10", "libnvonnxparser.so.10")
"""Linked by this version of ONNX Runtime."""
NO_DEVICE = 100


def cuda_major() -> int:
    """The CUDA version that the installed ONNX Runtime was built for."""
    return int(onnxruntime.cuda_version.split(".")[0])


def missing_for_cuda() -> list[str]:
    """Descriptions of what CUDA lacks on this machine; empty if it works. Loads the libraries that
    pip installed, which the dynamic loader does not search."""
    with redirect_stdout(io.StringIO()):  # its messages are replaced by those below
        onnxruntime.preload_dlls()
    major = cuda_major()
    names = [f"lib{name}.so.{major}" for name in ("cudart", "cublasLt", "cublas")]
    missing = [
        _driver_problem(major),
        _missing([*names, "libcurand.so.10"], f"CUDA {major}", "install the extra `gpu`"),
        _missing([CUDNN], "cuDNN 9", "install the extra `gpu`"),
    ]
    return [text for text in missing if text]


def missing_for_tensorrt() -> list[str]:
    """As missing_for_cuda, plus what TensorRT lacks."""
    package = find_spec("tensorrt_libs")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for name in TENSORRT:
            with suppress(OSError):
                ctypes.CDLL(str(Path(folder) / name))
    package_name = f"tensorrt-cu{cuda_major()}-libs"
    missing = _missing(TENSORRT, "TensorRT 10", f"pip install '{package_name}<11'")
    return [*missing_for_cuda(), *([missing] if missing else [])]


def has_driver() -> bool:
    return _loads(DRIVER)


def gpu_count() -> int:
    """The number of GPUs that the driver reports; CUDA_VISIBLE_DEVICES may hide some."""
    count = ctypes.c_int()
    ctypes.CDLL(DRIVER).cuDeviceGetCount(ctypes.byref(count))
    return count.value


def cuda_runtime() -> ctypes.CDLL:
    """The CUDA runtime library; call missing_for_cuda first, which loads it."""
    return ctypes.CDLL(f"libcudart.so.{cuda_major()}")


def _driver_problem(major: int) -> str | None:
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return f"the NVIDIA driver ({DRIVER})"
    if error := driver.cuInit(0):
        gpu = "a GPU that the NVIDIA driver can see"
        return gpu if error == NO_DEVICE else f"a working NVIDIA driver (cuInit: error {error})"
    version = ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    supported, minor = version.value // 1000, version.value % 1000 // 10
    if supported < major:
        return (
            f"an NVIDIA driver for CUDA {major} ({DRIVER_OF_CUDA[major]} or later; "
            f"this one supports up to CUDA {supported}.{minor})"
        )
    return None


def _missing(libraries: Iterable[str], product: str, remedy: str) -> str | None:
    missing = [name for name in libraries if not _loads(name)]
    return f"{product} ({', '.join(missing)}; {remedy})" if missing else None


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
