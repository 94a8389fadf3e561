"""Lifter: whole = split, batched = alone, exported = trained; bad model files are rejected."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from model import (
    COCO17,
    H36M17,
    TOKENS_A_PASS,
    DeviceUnavailable,
    Encode,
    InvalidInput,
    KeypointSequence,
    Lifter,
    LiftOptions,
    ModelFileError,
    Pass,
    UnknownName,
    carry_out,
    known_models,
    model_named,
)
from model.training.export.onnx_file import check_parity
from model.training.networks.poseformer import PoseFormer
from networks import SMALL, exported, model_info, random_network

INFO = model_info(SMALL)


@pytest.fixture(scope="module")
def network() -> PoseFormer:
    return random_network(SMALL)


@pytest.fixture(scope="module")
def tiny_file(network: PoseFormer) -> Path:
    return exported(network)


@pytest.fixture(scope="module")
def tiny(tiny_file: Path) -> Lifter:
    return Lifter.load(tiny_file)


def person(frames: int, seed: int = 0, skeleton=H36M17) -> KeypointSequence:
    rng = np.random.default_rng(seed)
    joints = len(skeleton.joints)
    path = rng.normal(size=(frames, 1, 2)).cumsum(axis=0) * 5 + [900, 500]
    xy = path + rng.normal(size=(1, joints, 2)) * 80 + rng.normal(size=(frames, joints, 2)) * 3
    score = rng.uniform(0.2, 1, (frames, joints))
    return KeypointSequence(xy, score, (1920, 1080), 30.0, skeleton)


def test_model_info_is_read_from_the_metadata(tiny: Lifter) -> None:
    assert tiny.info == INFO
    assert (tiny.window.past, tiny.window.future, tiny.provider) == (4, 4, "CPUExecutionProvider")


def test_halves_equal_the_whole_file_run_by_onnxruntime(tiny: Lifter, tiny_file: Path) -> None:
    windows = np.random.default_rng(0).normal(size=(6, 9, 17, 6)).astype(np.float32)
    whole = onnxruntime.InferenceSession(tiny_file)
    assert [i.name for i in whole.get_inputs()] == ["keypoints"]
    assert [o.name for o in whole.get_outputs()] == ["centre", "dense"]
    centre, dense = whole.run(None, {"keypoints": windows})
    split = tiny.run(windows)
    assert centre.shape == (6, 1, 17, 3) and dense.shape == (6, 9, 17, 3)
    np.testing.assert_allclose(split.centre, centre, atol=1e-5)
    np.testing.assert_allclose(split.dense, dense, atol=1e-5)


def test_batched_windows_equal_single_windows(tiny: Lifter) -> None:
    windows = np.random.default_rng(1).normal(size=(7, 9, 17, 6)).astype(np.float32)
    together = tiny.run(windows)
    for row, window in enumerate(windows):
        alone = tiny.run(window[None])
        np.testing.assert_allclose(together.centre[row], alone.centre[0], atol=1e-5)
        np.testing.assert_allclose(together.dense[row], alone.dense[0], atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 5, 9, 40, 400])
def test_lift_equals_the_centre_readout_of_all_windows(tiny: Lifter, frames: int) -> None:
    sequence = person(frames)
    prepared = tiny.prepare(sequence)
    centre = tiny.run(tiny.window.over(prepared.inputs)).centre[:, 0]
    expected = np.einsum("tjk,tki->tji", centre - centre[:, :1], prepared.rotation)
    poses = tiny.lift(sequence)
    assert poses.fps == 30.0
    np.testing.assert_allclose(poses.xyz, expected, atol=1e-5)


def test_interleaved_lift_tasks_equal_separate_ones(tiny: Lifter) -> None:
    people = [person(40, seed) for seed in (0, 1)]
    tasks = [tiny.lifting(keypoints) for keypoints in people]
    passes, results = [next(task) for task in tasks], {}
    while len(results) < 2:
        for k, task in enumerate(tasks):
            if k not in results:
                try:
                    passes[k] = task.send(tiny.run_pass(passes[k]))
                except StopIteration as done:
                    results[k] = done.value
    for k, keypoints in enumerate(people):
        np.testing.assert_array_equal(results[k].xyz, tiny.lift(keypoints).xyz)


def test_no_pass_exceeds_the_token_limit(tiny: Lifter) -> None:
    sizes = []

    def run(work: Pass) -> object:
        sizes.append(work.tokens)
        return tiny.run_pass(work)

    carry_out(tiny.lifting(person(500), LiftOptions(flip=True)), run)
    assert max(sizes) <= TOKENS_A_PASS
    assert sum(sizes) == 2 * (500 + 500 * tiny.frames)


@pytest.mark.parametrize("readout", ["centre", "dense"])
def test_long_sequence_is_encoded_only_when_needed(tiny: Lifter, readout: str) -> None:
    """Each frame once, and few frames ahead of the windows."""
    ahead, most = 0, 0

    def run(work: Pass) -> object:
        nonlocal ahead, most
        if isinstance(work, Encode):
            ahead += work.tokens
        elif readout == "centre":
            ahead -= len(work.windows)
        else:
            ahead -= len(work.windows) * (tiny.frames - tiny.frames // 3)
        most = max(most, ahead)
        return tiny.run_pass(work)

    carry_out(tiny.lifting(person(3000), LiftOptions(readout)), run)
    assert most <= 2 * TOKENS_A_PASS


@pytest.mark.parametrize(
    ("frames", "centres"),
    [(1, [0]), (4, [1]), (9, [4]), (10, [4, 5]), (21, [4, 10, 16]), (28, [4, 8, 13, 18, 23])],
)
def test_dense_readout_blends_windows_that_overlap_by_a_third(
    tiny: Lifter, frames: int, centres: list[int]
) -> None:
    sequence = person(frames)
    prepared = tiny.prepare(sequence)
    dense = tiny.run(tiny.window.over(prepared.inputs, np.array(centres))).dense
    assert dense is not None
    blended, weights = np.zeros((frames, 17, 3)), np.zeros(frames)
    for centre, poses in zip(centres, dense, strict=True):
        for offset in range(-4, 5):
            if 0 <= centre + offset < frames:
                weight = (1 + np.cos(np.pi * offset / 5)) / 2
                blended[centre + offset] += poses[offset + 4] * weight
                weights[centre + offset] += weight
    blended /= weights[:, None, None]
    expected = np.einsum("tjk,tki->tji", blended - blended[:, :1], prepared.rotation)
    xyz = tiny.lift(sequence, LiftOptions(readout="dense")).xyz
    np.testing.assert_allclose(xyz, expected, atol=1e-5)


@pytest.mark.parametrize("readout", ["centre", "dense"])
@pytest.mark.parametrize("frames", [1, 3, 30])
def test_flipped_poses_of_the_mirrored_input_are_the_mirrored_poses(
    tiny: Lifter, readout: str, frames: int
) -> None:
    sequence = person(frames)
    mirror = list(H36M17.mirror)
    xy = sequence.xy[:, mirror] * [-1, 1] + [1920, 0]
    mirrored = replace(sequence, xy=xy, confidence=sequence.confidence[:, mirror])
    options = LiftOptions(readout=readout, flip=True)
    plain, flipped = tiny.lift(sequence, options).xyz, tiny.lift(mirrored, options).xyz
    np.testing.assert_allclose(flipped, plain[:, mirror] * [-1, 1, 1], atol=2e-5)


def test_inputs_are_bit_identical_in_chunks(tiny: Lifter) -> None:
    sequence = person(30)
    sequence = replace(sequence, confidence=sequence.confidence * (np.arange(30) % 7 > 0)[:, None])
    whole = tiny.prepare(sequence, 1200.0)
    state, parts = None, []
    for chunk in np.split(np.arange(30), [1, 2, 8, 21]):
        xy, confidence = sequence.xy[chunk], sequence.confidence[chunk]
        part = tiny.prepare(replace(sequence, xy=xy, confidence=confidence), 1200.0, state)
        state = part.state
        parts.append(part.inputs)
    np.testing.assert_array_equal(np.concatenate(parts), whole.inputs)


def test_height_scales_poses_and_focal_length_changes_them(tiny: Lifter) -> None:
    sequence = person(5)
    plain = tiny.lift(sequence).xyz
    tall = tiny.lift(sequence, LiftOptions(height_m=2.04)).xyz
    np.testing.assert_allclose(tall, plain * 1.2, rtol=1e-5, atol=1e-6)
    same = tiny.lift(sequence, LiftOptions(focal_px=1920.0)).xyz
    np.testing.assert_array_equal(same, plain)
    assert np.abs(tiny.lift(sequence, LiftOptions(focal_px=900.0)).xyz - plain).max() > 1e-3


def test_other_joint_sets_are_converted_before_lifting(tiny: Lifter) -> None:
    sequence = person(4, skeleton=COCO17)
    converted = sequence.to_h36m17()
    np.testing.assert_array_equal(tiny.lift(sequence).xyz, tiny.lift(converted).xyz)


def test_poses_are_finite_without_any_seen_joint(tiny: Lifter) -> None:
    sequence = person(3)
    blank = replace(sequence, confidence=np.zeros_like(sequence.confidence))
    assert np.isfinite(tiny.lift(blank).xyz).all()


def test_parity_check_rejects_a_file_that_differs_from_torch(
    network: PoseFormer, tiny_file: Path
) -> None:
    other = PoseFormer(SMALL).eval()
    with pytest.raises(ModelFileError, match="differ from torch"):
        check_parity(other, tiny_file)


def test_published_model_equals_torch_and_rejects_unsupported_options() -> None:
    network = random_network(replace(SMALL, channels=2))
    lifter, sequence = Lifter.load(exported(network, half_storage=False)), person(12)
    xy = sequence.xy / 1920 * 2 - np.array([1, 1080 / 1920], np.float32)
    with torch.no_grad():
        windows = torch.from_numpy(lifter.window.over(xy)).float()
        expected = network(windows).centre[:, 0].numpy()
    expected = expected - expected[:, :1]
    np.testing.assert_allclose(lifter.lift(sequence).xyz, expected, atol=1e-5)
    for options in (LiftOptions(readout="dense"), LiftOptions(height_m=1.8)):
        with pytest.raises(InvalidInput):
            lifter.lift(sequence, options)


@pytest.mark.parametrize(
    "options",
    [{"readout": "last"}, {"focal_px": 0.0}, {"focal_px": float("nan")}, {"height_m": 9.0}],
)
def test_options_outside_their_limits_are_rejected(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        LiftOptions(**options)


def with_metadata(path: Path, target: Path, **changes: str) -> Path:
    model = onnx.load(path)
    for entry in model.metadata_props:
        entry.value = changes.get(entry.key, entry.value)
    onnx.save(model, target)
    return target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "9"}, "expected format '1', got '9'"),
        ({"skeleton": "coco17"}, "expected skeleton 'h36m17', got 'coco17'"),
        ({"unit": "mm"}, "expected unit 'metre', got 'mm'"),
        ({"frames": "27"}, "expected the input"),
        ({"frames": "8"}, "frames must be odd"),
        ({"frames": "nine"}, "metadata"),
        ({"channels": "2"}, "has 6 channels, got 2"),
        ({"normalisation": "box"}, "normalisation must be person or image"),
        ({"readouts": "dense"}, "readouts must be centre"),
        ({"readouts": "centre"}, "expected the outputs"),
    ],
)
def test_wrong_metadata_is_rejected_with_the_field(
    tiny_file: Path, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        Lifter.load(with_metadata(tiny_file, tmp_path / "wrong.onnx", **changes))


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(1000)])
def test_file_that_is_no_onnx_model_is_rejected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="bad.onnx"):
        Lifter.load(path)


def test_foreign_or_missing_onnx_file_is_rejected(tmp_path: Path) -> None:
    graph = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[1] x) => (float[1] y) {y = Abs(x)}'
    )
    onnx.save(graph, tmp_path / "abs.onnx")
    with pytest.raises(ModelFileError, match="no poselift model"):
        Lifter.load(tmp_path / "abs.onnx")
    with pytest.raises(ModelFileError, match="cannot be read"):
        Lifter.load(tmp_path / "absent.onnx")


def test_file_that_differs_from_the_manifest_is_rejected(tiny_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny-9.onnx"
    content = bytearray(tiny_file.read_bytes())
    path.write_bytes(content)
    good = hashlib.sha256(content).hexdigest()
    manifest = {"tiny-9": {"file": path.name, "sha256": good}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert Lifter.load(path).name == "tiny-9"
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=f"expects sha256 {good}"):
        Lifter.load(path)


def test_models_are_found_by_name(tiny_file: Path) -> None:
    assert known_models(tiny_file.parent) == {"tiny-9": tiny_file}
    assert model_named("tiny-9", tiny_file.parent) == tiny_file
    with pytest.raises(UnknownName, match="known: tiny-9"):
        model_named("tiny-10", tiny_file.parent)


def test_missing_cuda_is_an_error_except_with_device_auto(tiny_file: Path) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(DeviceUnavailable, match="CUDA cannot be used"):
        Lifter.load(tiny_file, device="cuda")
    with pytest.raises(InvalidInput, match="device must be"):
        Lifter.load(tiny_file, device="gpu")
    assert Lifter.load(tiny_file, device="auto").provider == "CPUExecutionProvider"
