"""GPU code paths run on a CPU: bound memory, several copies, float16."""

import ctypes
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from model import GpuOptions, InvalidInput, Lifter, LiftOptions, VideoResult
from model.lifting.lifter import halves
from model.lifting.model_files import read_model
from model.runtime.devices import CPU, Device
from model.runtime.host_memory import HostBuffer
from model.runtime.precision import in_float16
from model.runtime.sessions import BoundSession, Copies, Halves, SessionSettings

CUDA_RUNTIME = """
#include <stddef.h>
int registered = 0, device = -1;
int cudaSetDevice(int index) { device = index; return 0; }
int cudaHostRegister(void *address, size_t size, unsigned flags) {
    if (!address || ((size_t)address & 4095) || flags != 1 || device != 3) return 1;
    registered++;
    return 0;
}
int cudaHostUnregister(void *address) { registered--; return address == NULL; }
"""


@pytest.fixture(scope="module")
def lifter(weights_file: Path) -> Lifter:
    return Lifter.load(weights_file)


@pytest.fixture(scope="module")
def on_two(lifter: Lifter, weights_file: Path) -> Lifter:
    """As on two GPUs, but computed by the CPU: two bound copies, each for one thread at a time."""

    def bound(half: onnx.ModelProto, rows: int) -> BoundSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(half.SerializeToString(), options)
        return BoundSession(session, CPU, rows)

    spatial, temporal = halves(*read_model(weights_file), CPU)
    copies = [Halves(bound(spatial, 1), bound(temporal, lifter.frames)) for _ in range(2)]
    return Lifter(lifter.info, Copies(copies, exclusive=True), [Device("cuda", k) for k in (0, 1)])


@pytest.mark.parametrize("options", [LiftOptions(), LiftOptions("dense", flip=True)])
def test_bound_session_equals_shared_session_for_varying_pass_sizes(
    lifter: Lifter, on_two: Lifter, real_result: VideoResult, options: LiftOptions
) -> None:
    for person in real_result.people:
        for frames in (75, 3, 40):
            keypoints = replace(
                person.keypoints,
                xy=person.keypoints.xy[:frames],
                confidence=person.keypoints.confidence[:frames],
            )
            expected = lifter.lift(keypoints, options)
            np.testing.assert_array_equal(on_two.lift(keypoints, options).xyz, expected.xyz)
    on_two.warm()


def test_copies_shared_by_more_threads_give_equal_poses(
    lifter: Lifter, on_two: Lifter, real_result: VideoResult
) -> None:
    people = [person.keypoints for person in real_result.people] * 2
    with ThreadPoolExecutor(4) as threads:
        poses = list(threads.map(on_two.lift, people))
    for actual, expected in zip(poses, map(lifter.lift, people), strict=True):
        np.testing.assert_array_equal(actual.xyz, expected.xyz)


def test_longest_idle_copy_is_acquired_first() -> None:
    copies = Copies([Halves(name, name) for name in "abc"], exclusive=True)  # type: ignore[arg-type]
    order = []
    for _ in range(4):
        with copies.acquire() as halves:
            order.append(halves.spatial)
    with copies.acquire() as first, copies.acquire() as second, copies.acquire() as third:
        order += [first.spatial, second.spatial, third.spatial]
    assert order == list("abcabca")


def test_copy_is_released_after_a_failed_run() -> None:
    copies = Copies([Halves("a", "a")], exclusive=True)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError), copies.acquire():
        raise RuntimeError("the GPU is gone")
    with copies.acquire() as halves:
        assert halves.spatial == "a"


def test_host_buffer_is_pinned_and_unpinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (compiler := shutil.which("cc")):
        pytest.skip("no C compiler")
    source, library = tmp_path / "runtime.c", tmp_path / "runtime.so"
    source.write_text(CUDA_RUNTIME)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    runtime = ctypes.CDLL(str(library))
    monkeypatch.setattr("model.runtime.host_memory.cuda_runtime", lambda: runtime)
    registered = ctypes.c_int.in_dll(runtime, "registered")
    buffer = HostBuffer(Device("cuda", 3))
    buffer.view((10, 17))[:] = 1
    assert buffer.view((3, 2)).tolist() == [[1, 1], [1, 1], [1, 1]]
    assert registered.value == 1
    buffer.view((5000, 17))
    assert registered.value == 1
    del buffer
    assert registered.value == 0


def test_float16_poses_are_within_one_millimetre(
    lifter: Lifter, weights_file: Path, real_result: VideoResult
) -> None:
    half = Lifter.load(weights_file, precision="float16")
    assert (half.info.precision, lifter.info.precision) == ("float16", "float32")
    for options in (LiftOptions(), LiftOptions("dense")):
        for person in real_result.people:
            rounded, exact = (m.lift(person.keypoints, options).xyz for m in (half, lifter))
            np.testing.assert_allclose(rounded, exact, atol=1e-3)
            assert np.abs(rounded - exact).max() > 0


def test_float16_applies_to_products_and_not_to_norms_and_softmax(weights_file: Path) -> None:
    for half in halves(*read_model(weights_file), Device("cuda")):
        graph = onnx.shape_inference.infer_shapes(in_float16(half), strict_mode=False).graph
        types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
        by_op = {node.op_type: types.get(node.output[0]) for node in graph.node}
        assert by_op["MatMul"] == by_op["Gelu"] == onnx.TensorProto.FLOAT16
        assert by_op["LayerNormalization"] == by_op["Softmax"] == onnx.TensorProto.FLOAT
        for value in (*graph.input, *graph.output):
            assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_unknown_precision_is_rejected(weights_file: Path) -> None:
    with pytest.raises(InvalidInput, match="precision is float32 or float16, got 'int4'"):
        Lifter.load(weights_file, precision="int4")


def test_provider_options_of_cuda_and_tensorrt(weights_file: Path, tmp_path: Path) -> None:
    spatial_half, temporal_half = halves(*read_model(weights_file), Device("cuda"))
    settings = SessionSettings(1, 216, True, GpuOptions(memory_mb=512, engine_cache=tmp_path))
    assert settings.provider_options(spatial_half, CPU, 1) == {}
    cuda = settings.provider_options(spatial_half, Device("cuda"), 1)
    assert cuda["gpu_mem_limit"] == "256000000"
    spatial = settings.provider_options(spatial_half, Device("tensorrt"), 1)
    assert spatial["trt_profile_min_shapes"] == "frame_joints:1x17x6"
    assert spatial["trt_profile_max_shapes"] == "frame_joints:216x17x6"
    temporal = settings.provider_options(temporal_half, Device("tensorrt"), 27)
    assert temporal["trt_profile_min_shapes"] == "frame_features:27x272"
    assert temporal["trt_profile_max_shapes"] == "frame_features:216x272"
    folders = {options["trt_engine_cache_path"] for options in (spatial, temporal)}
    assert sorted(folders) == sorted(map(str, tmp_path.iterdir()))
    assert len(folders) == 2
