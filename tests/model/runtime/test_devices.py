"""Messages about missing devices, in subprocesses whose loader finds a fake driver, fake CUDA
libraries, or neither."""

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from model import InvalidInput
from model.runtime.devices import BUILDS, CPU, Device, find_devices
from paths import ROOT

CUDA_LIBRARIES = ("libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10")
CUDNN, DRIVER = "libcudnn.so.9", "libcuda.so.1"
DRIVER_SOURCE = """
#include <stdlib.h>
static int value_of(const char *name, int otherwise) {
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}
int cuInit(unsigned flags) { return value_of("CU_INIT", 0); }
int cuDriverGetVersion(int *version) { *version = value_of("CU_VERSION", 13000); return 0; }
int cuDeviceGetCount(int *count) { *count = value_of("CU_COUNT", 2); return 0; }
"""
GPU_BUILD = """
import onnxruntime
onnxruntime.cuda_version = "13.0"
onnxruntime.get_available_providers = lambda: [
    "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
"""
FIND = """
import json, os, sys
from pathlib import Path
from model import Lifter, PoseError, why_no_gpu
from model.runtime.devices import find_devices
weights, *cases = json.loads(sys.argv[1])
for device, driver in cases:
    os.environ.update(driver)
    try:
        devices = Lifter.load(Path(weights), device=device).devices if driver.get("LOAD") else [
            str(device) for device in find_devices(device)]
        print(json.dumps(devices))
    except PoseError as error:
        print(json.dumps(str(error)))
print(json.dumps(why_no_gpu()))
"""


def is_loadable(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def gpu_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX Runtime that claims to be the GPU build."""
    folder = tmp_path_factory.mktemp("gpu_build")
    (folder / "sitecustomize.py").write_text(GPU_BUILD)
    return folder


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with the few driver functions that are called."""
    if not (compiler := shutil.which("cc")):
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "driver.c").write_text(DRIVER_SOURCE)
    library = folder / "driver.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "driver.c"], check=True)
    return library


def find(gpu_build: Path, libraries: Path, weights: Path, *cases: object) -> list[object]:
    done = subprocess.run(
        [sys.executable, "-c", FIND, json.dumps([str(weights), *cases])],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{gpu_build}:{ROOT}", "LD_LIBRARY_PATH": str(libraries)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.skipif(is_loadable(DRIVER) or is_loadable(CUDNN), reason="a machine with a GPU")
def test_message_names_each_missing_library(
    gpu_build: Path, tmp_path: Path, weights_file: Path
) -> None:
    cuda, tensorrt, auto, reason = find(
        gpu_build, tmp_path, weights_file, ["cuda", {}], ["tensorrt:1", {}], ["auto", {}]
    )
    assert str(cuda).startswith("CUDA cannot be used: missing: the NVIDIA driver")
    assert re.search(r"CUDA 13 \(.*libcublas\.so\.13.*the extra `gpu`", str(cuda))
    assert "cuDNN 9 (libcudnn.so.9" in str(cuda)
    assert "TensorRT" not in str(cuda)
    assert re.search(r"^TensorRT .*libcuda\.so\.1.*libnvinfer\.so\.10", str(tensorrt))
    assert auto == ["cpu"]
    assert str(reason).startswith("missing: the NVIDIA driver (libcuda.so.1)")


@pytest.mark.skipif(is_loadable(CUDNN), reason="cuDNN is installed")
def test_message_names_cudnn_if_it_alone_is_missing(
    gpu_build: Path, compiled: Path, tmp_path: Path, weights_file: Path
) -> None:
    for name in (DRIVER, *CUDA_LIBRARIES):
        (tmp_path / name).symlink_to(compiled)
    message = find(gpu_build, tmp_path, weights_file, ["cuda:1", {}])[0]
    assert str(message).endswith("missing: cuDNN 9 (libcudnn.so.9; install the extra `gpu`)")


def test_driver_limits_devices_and_versions(
    gpu_build: Path, compiled: Path, tmp_path: Path, weights_file: Path
) -> None:
    for name in (DRIVER, CUDNN, *CUDA_LIBRARIES):
        (tmp_path / name).symlink_to(compiled)
    results = find(
        gpu_build,
        tmp_path,
        weights_file,
        ["cuda", {}],
        ["cuda:0,cuda:1", {}],
        ["cuda:0,cuda:2", {}],
        ["auto", {}],
        ["cuda", {"LOAD": "1"}],
        ["cuda", {"LOAD": "", "CU_VERSION": "12040"}],
        ["cuda", {"CU_INIT": "100"}],
        ["cuda", {"CU_INIT": "803"}],
    )
    assert results[:2] == [["cuda:0"], ["cuda:0", "cuda:1"]]
    assert "cuda:2 cannot be used: the driver reports 2 GPUs" in str(results[2])
    assert results[3] == ["cuda:0"]
    # the provider of the created session counts, not the list of available providers
    assert "cuda:0 cannot be used: ONNX Runtime fell back to CPUExecutionProvider" in str(
        results[4]
    )
    assert "driver for CUDA 13 (580 or later; this one supports up to CUDA 12.4)" in str(results[5])
    assert str(results[6]).endswith("missing: a GPU that the NVIDIA driver can see")
    assert str(results[7]).endswith("a working NVIDIA driver (cuInit: error 803)")


def serve(folder: Path) -> str:
    """The error of a server that imports the folder's packages first and fails to start."""
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "serve", "--port", "0"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{folder}:{ROOT}", "POSELIFT_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert (done.stderr.count("\n"), done.stdout) == (1, "")
    return done.stderr


def test_server_fails_to_start_if_both_builds_are_installed(tmp_path: Path) -> None:
    (other,) = set(BUILDS) - {d.metadata["Name"] for d in metadata.distributions()}
    installed = tmp_path / f"{other.replace('-', '_')}-1.31.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {other}\nVersion: 1.31.1\n")
    assert serve(tmp_path).startswith(
        "poselift: onnxruntime and onnxruntime-gpu are both installed"
    )


def test_server_fails_to_start_if_no_build_is_installed(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['onnxruntime'] = None")
    assert serve(tmp_path).startswith("poselift: ONNX Runtime is not installed: install the extra")


@pytest.mark.parametrize(
    "name", ["", "gpu", "cuda:", "cuda:-1", "cuda:0,", "cuda:0,cuda", "cuda:0,tensorrt:1", "cpu:0"]
)
def test_invalid_device_names_are_rejected(name: str) -> None:
    with pytest.raises(InvalidInput, match="device must be auto, cpu, cuda"):
        find_devices(name)


def test_duplicate_gpu_is_rejected() -> None:
    with pytest.raises(InvalidInput, match="names a GPU twice"):
        find_devices("cuda,cuda:0")


def test_device_names_round_trip() -> None:
    assert find_devices("cpu") == (CPU,)
    assert [str(Device("tensorrt", 3)), str(CPU)] == ["tensorrt:3", "cpu"]
