"""What CUDA and TensorRT need on this machine, and what of it is not there.

ONNX Runtime itself goes on with the CPU and a line in its log; whoever asked for a GPU is to hear
why there is none before anything starts.
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
"""The oldest NVIDIA driver for each CUDA (its release notes, table of minimum drivers)."""
CUDNN = "libcudnn.so.9"
TENSORRT = ("libnvinfer.so.10", "libnvonnxparser.so.10")
"""What this ONNX Runtime was linked with."""
NO_DEVICE = 100


def cuda_major() -> int:
    """The CUDA that the installed ONNX Runtime was built for."""
    return int(onnxruntime.cuda_version.split(".")[0])


def missing_for_cuda() -> list[str]:
    """What keeps CUDA from working here, in words; empty where nothing does. Afterwards the
    libraries that pip installed, which the dynamic loader does not look for, are loaded."""
    with redirect_stdout(io.StringIO()):  # it prints what is said better below
        onnxruntime.preload_dlls()
    major = cuda_major()
    names = [f"lib{name}.so.{major}" for name in ("cudart", "cublasLt", "cublas")]
    missing = [
        _driver_trouble(major),
        _absent([*names, "libcurand.so.10"], f"CUDA {major}", "the extra `gpu` brings it"),
        _absent([CUDNN], "cuDNN 9", "the extra `gpu` brings it"),
    ]
    return [text for text in missing if text]


def missing_for_tensorrt() -> list[str]:
    """As missing_for_cuda, with what TensorRT needs beside."""
    package = find_spec("tensorrt_libs")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for name in TENSORRT:
            with suppress(OSError):
                ctypes.CDLL(str(Path(folder) / name))
    absent = _absent(TENSORRT, "TensorRT 10", f"pip: tensorrt-cu{cuda_major()}-libs, below 11")
    return [*missing_for_cuda(), *([absent] if absent else [])]


def gpu_count() -> int:
    """How many GPUs the driver shows; CUDA_VISIBLE_DEVICES may hide some."""
    count = ctypes.c_int()
    ctypes.CDLL(DRIVER).cuDeviceGetCount(ctypes.byref(count))
    return count.value


def cuda_runtime() -> ctypes.CDLL:
    """CUDA's runtime library, which missing_for_cuda has found."""
    return ctypes.CDLL(f"libcudart.so.{cuda_major()}")


def _driver_trouble(major: int) -> str | None:
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return f"the NVIDIA driver ({DRIVER})"
    if error := driver.cuInit(0):
        gpu = "a GPU that the NVIDIA driver can see"
        return gpu if error == NO_DEVICE else f"a working NVIDIA driver (cuInit: error {error})"
    version = ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    found, minor = version.value // 1000, version.value % 1000 // 10
    if found < major:
        return (
            f"an NVIDIA driver for CUDA {major} ({DRIVER_OF_CUDA[major]} or later; "
            f"this one ends at CUDA {found}.{minor})"
        )
    return None


def _absent(libraries: Iterable[str], what: str, remedy: str) -> str | None:
    absent = [name for name in libraries if not _loads(name)]
    return f"{what} ({', '.join(absent)}; {remedy})" if absent else None


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
