"""Checkpoints in the published layout: safe reading, conversion and lifting."""

import hashlib
import io
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from model import (
    H36M17,
    InvalidInput,
    KeypointSequence,
    Lifter,
    LiftOptions,
    ModelFileError,
    PoseError,
    read_manifest,
)
from model.training import commands
from model.training.export.official import import_official, official_network

J = 17
State = dict[str, Tensor]


def official_state(frames: int, width: int = 8, depth: int = 2) -> State:
    """Random tensors with the authors' names and sizes, stated independently of the code."""
    frame_width = J * width
    state: State = {
        "Spatial_pos_embed": torch.randn(1, J, width),
        "Temporal_pos_embed": torch.randn(1, frames, frame_width),
        "weighted_mean.weight": torch.randn(1, frames, 1) / frames,
        "weighted_mean.bias": torch.randn(1),
    }
    linear(state, "Spatial_patch_to_embedding", 2, width)
    for stem, size in (("Spatial_blocks", width), ("blocks", frame_width)):
        for n in range(depth):
            norm(state, f"{stem}.{n}.norm1", size)
            norm(state, f"{stem}.{n}.norm2", size)
            linear(state, f"{stem}.{n}.attn.qkv", size, 3 * size)
            linear(state, f"{stem}.{n}.attn.proj", size, size)
            linear(state, f"{stem}.{n}.mlp.fc1", size, 2 * size)
            linear(state, f"{stem}.{n}.mlp.fc2", 2 * size, size)
    norm(state, "Spatial_norm", width)
    norm(state, "Temporal_norm", frame_width)
    norm(state, "head.0", frame_width)
    linear(state, "head.1", frame_width, J * 3)
    return state


def linear(state: State, name: str, inputs: int, outputs: int) -> None:
    state[f"{name}.weight"] = torch.randn(outputs, inputs) / inputs**0.5
    state[f"{name}.bias"] = torch.randn(outputs) * 0.1


def norm(state: State, name: str, width: int) -> None:
    state[f"{name}.weight"] = 1 + torch.randn(width) * 0.1
    state[f"{name}.bias"] = torch.randn(width) * 0.1


def paper(state: State, windows: Tensor) -> Tensor:
    """PoseFormer written from the paper, with the authors' tensors: (B, f, 17, 2) -> centre."""
    windows_count, frames = windows.shape[:2]
    x = apply(state, "Spatial_patch_to_embedding", windows.flatten(0, 1))
    x = transformer(state, "Spatial_blocks", x + state["Spatial_pos_embed"])
    x = normed(state, "Spatial_norm", x, 1e-6).reshape(windows_count, frames, -1)
    x = transformer(state, "blocks", x + state["Temporal_pos_embed"])
    x = normed(state, "Temporal_norm", x, 1e-6)
    mean = torch.einsum("f,bfd->bd", state["weighted_mean.weight"][0, :, 0], x)
    mean = mean + state["weighted_mean.bias"]
    pose = apply(state, "head.1", normed(state, "head.0", mean, 1e-5))
    return pose.reshape(windows_count, 1, J, 3)


def transformer(state: State, stem: str, x: Tensor) -> Tensor:
    n = 0
    while f"{stem}.{n}.norm1.weight" in state:
        name = f"{stem}.{n}"
        x = x + attended(state, f"{name}.attn", normed(state, f"{name}.norm1", x, 1e-6))
        hidden = apply(state, f"{name}.mlp.fc1", normed(state, f"{name}.norm2", x, 1e-6))
        x = x + apply(state, f"{name}.mlp.fc2", functional.gelu(hidden))
        n += 1
    return x


def attended(state: State, name: str, x: Tensor, heads: int = 8) -> Tensor:
    """torch's attention; qkv is the concatenation of queries, keys and values."""
    q, k, v = (
        part.unflatten(-1, (heads, -1)).transpose(1, 2)
        for part in apply(state, f"{name}.qkv", x).chunk(3, dim=-1)
    )
    mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    return apply(state, f"{name}.proj", mixed)


def apply(state: State, name: str, x: Tensor) -> Tensor:
    return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def normed(state: State, name: str, x: Tensor, eps: float) -> Tensor:
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return functional.layer_norm(x, weight.shape, weight, bias, eps)


def checkpoint_of(state: State, **fields: Any) -> dict[str, Any]:
    optimiser = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": []}
    return {
        "epoch": 130,
        "lr": np.float64(2e-4),  # as left by some schedules
        "random_state": np.random.RandomState(1234),
        "optimizer": optimiser,
        "model_pos": state,
    } | fields


class RandomStateBefore117:
    """Pickles as NumPy 1.16's RandomState does."""

    def __reduce__(self) -> tuple[Any, ...]:
        constructor = getattr(np.random, "__RandomState_ctor")
        return constructor, (), np.random.RandomState(1).get_state()


def numpy_1(content: bytes) -> bytes:
    return content


def numpy_2(content: bytes) -> bytes:
    """A pickle as written by NumPy 2: numpy._core, and the generator's class for its name."""
    content = content.replace(b"cnumpy.core.", b"cnumpy._core.")
    named, by_class = b"X\x07\x00\x00\x00MT19937", b"cnumpy.random._mt19937\nMT19937\n"
    return content.replace(named, by_class, 1)


def write(
    path: Path, checkpoint: object, *, zipped: bool, spelled: Callable[[bytes], bytes]
) -> Path:
    """torch.save in the new or the old format, with names as written by a NumPy version."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer, _use_new_zipfile_serialization=zipped)
    if not zipped:
        path.write_bytes(spelled(buffer.getvalue()))
        return path
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, spelled(content) if name.endswith("data.pkl") else content)
    return path


def on_gpus(state: State) -> State:
    return {f"module.{name}": value for name, value in state.items()}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "official.bin"
    torch.save(checkpoint_of(official_state(9)), path)
    return path


def altered(path: Path, change: Callable[[State], object]) -> Path:
    content = torch.load(path, weights_only=False)
    change(content["model_pos"])
    torch.save(content, path)
    return path


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("spelled", [numpy_1, numpy_2])
@pytest.mark.parametrize("name_as", [dict, on_gpus], ids=["plain", "module"])
def test_checkpoint_of_any_format_equals_the_paper(
    tmp_path: Path,
    zipped: bool,
    spelled: Callable[[bytes], bytes],
    name_as: Callable[[State], State],
) -> None:
    state = official_state(9)
    content = checkpoint_of(name_as(state))
    path = write(tmp_path / "official.bin", content, zipped=zipped, spelled=spelled)
    windows = torch.randn(3, 9, J, 2)
    with torch.no_grad():
        torch.testing.assert_close(official_network(path)(windows).centre, paper(state, windows))


def test_random_state_of_old_numpy_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "official.bin"
    torch.save(checkpoint_of(official_state(9), random_state=RandomStateBefore117()), path)
    assert official_network(path).shape.frames == 9


def test_numpy_2_helper_rewrites_the_pickle(tmp_path: Path) -> None:
    content = checkpoint_of(official_state(9))
    path = write(tmp_path / "official.bin", content, zipped=True, spelled=numpy_2)
    with zipfile.ZipFile(path) as file:
        spelled = file.read(next(name for name in file.namelist() if name.endswith("data.pkl")))
    assert b"numpy._core.multiarray" in spelled
    assert b"numpy.random._mt19937\nMT19937" in spelled
    assert b"numpy.core" not in spelled


def test_imported_model_lifts_like_the_paper(tmp_path: Path, rng: np.random.Generator) -> None:
    frames = 27
    state = official_state(frames, depth=1)
    source, output = tmp_path / "official.bin", tmp_path / "weights" / "official.onnx"
    torch.save(checkpoint_of(on_gpus(state)), source)
    arguments = [str(source), "-o", str(output), "--frames", str(frames)]
    assert commands.run("import-official", arguments) == 0
    (entry,) = read_manifest(output.parent).values()
    assert hashlib.sha256(source.read_bytes()).hexdigest() in str(entry["origin"])
    lifter = Lifter.load(output)
    info = lifter.info
    assert (info.name, info.frames) == ("official", frames)
    assert (info.normalisation, info.readouts, info.height_m) == ("image", ("centre",), None)

    size = (640, 480)
    xy = rng.uniform(0, 480, (frames + 5, J, 2)).astype(np.float32)
    sequence = KeypointSequence(xy, np.ones(xy.shape[:2], np.float32), size, 50.0, H36M17)
    # the image's width to -1..1, and both ends repeated (f - 1) / 2 times
    scaled = xy / 640 * 2 - np.array([1, 480 / 640], np.float32)
    padded = np.pad(scaled, [(frames // 2, frames // 2), (0, 0), (0, 0)], mode="edge")
    windows = torch.from_numpy(
        np.stack([padded[i : i + frames] for i in range(len(xy))]).astype(np.float32)
    )
    with torch.no_grad():
        expected = paper(state, windows)[:, 0].numpy()
    expected -= expected[:, :1]  # the network's pelvis is only near 0
    np.testing.assert_allclose(lifter.lift(sequence).xyz, expected, atol=1e-5)

    with pytest.raises(InvalidInput, match="no dense readout"):
        lifter.lift(sequence, LiftOptions(readout="dense"))
    with pytest.raises(InvalidInput, match="does not know body heights"):
        lifter.lift(sequence, LiftOptions(height_m=1.8))


class Attack:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("place", ["random_state", "model_pos"])
def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, zipped: bool, place: str) -> None:
    mark, path = tmp_path / "ran", tmp_path / "official.bin"
    content = checkpoint_of(official_state(9), **{place: Attack(mark)})
    write(path, content, zipped=zipped, spelled=numpy_1)
    with pytest.raises(InvalidInput, match=r"rejected without running its code.*system"):
        official_network(path)
    assert not mark.exists()


def test_code_in_a_bare_pickle_is_not_run(tmp_path: Path) -> None:
    mark, path = tmp_path / "ran", tmp_path / "official.bin"
    path.write_bytes(pickle.dumps(Attack(mark), protocol=2))
    with pytest.raises(InvalidInput, match=re.escape(str(path))):
        official_network(path)
    assert not mark.exists()
    pickle.loads(path.read_bytes())
    assert mark.exists()  # the attack works without protection


def test_random_state_is_not_built(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def built(*_: object, **__: object) -> None:
        raise AssertionError("a NumPy object of the checkpoint was built")

    monkeypatch.setattr("numpy.random._pickle.__randomstate_ctor", built)
    monkeypatch.setattr("numpy.random._pickle.__bit_generator_ctor", built)
    assert official_network(checkpoint).shape.frames == 9


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a checkpoint"),
        (b"not a checkpoint at all", "not a checkpoint"),
        (b"PK\x03\x04 and then nothing", "not a checkpoint"),
    ],
)
def test_unreadable_file_raises(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "official.bin"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        official_network(path)


@pytest.mark.parametrize(
    "content", [{"epoch": 1}, [1, 2], {"model_pos": {}}, {"model_pos": {"a": 1}}]
)
def test_other_torch_files_raise(tmp_path: Path, content: object) -> None:
    path = tmp_path / "official.bin"
    torch.save(content, path)
    with pytest.raises(InvalidInput, match=r"not a PoseFormer checkpoint.*model_pos"):
        official_network(path)


def test_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        official_network(tmp_path / "absent.bin")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("blocks.1.attn.qkv.bias"), r"missing: blocks\.1\.attn\.qkv\.bias"),
        (lambda s: s.update(extra=torch.zeros(1)), "not of this network: extra"),
        (lambda s: s.update({"head.1.bias": torch.zeros(48)}), r"head\.1\.bias \(48,\).*\(51,\)"),
        (lambda s: s.pop("Temporal_pos_embed"), "Temporal_pos_embed is missing"),
        (lambda s: s["head.1.bias"].fill_(torch.nan), r"not finite: head\.1\.bias"),
        (
            lambda s: s.update({"Temporal_pos_embed": torch.zeros(1, 27, 136)}),
            r"weighted_mean\.weight \(1, 9, 1\), expected \(1, 27, 1\)",
        ),
        (lambda s: s.update({"Temporal_pos_embed": torch.zeros(1, 8, 136)}), "must be odd"),
        (lambda s: s.update({"Temporal_pos_embed": torch.zeros(136)}), "must have 3 axes"),
        (
            lambda s: s.update({"Spatial_patch_to_embedding.weight": torch.zeros(8, 3)}),
            "expected 2 channels",
        ),
    ],
)
def test_tensors_that_do_not_fit_raise(
    checkpoint: Path, change: Callable[[State], object], message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        official_network(altered(checkpoint, change))


def test_message_about_many_faults_is_short(checkpoint: Path) -> None:
    path = altered(checkpoint, lambda state: [state.pop(k) for k in list(state) if "mlp.fc2" in k])
    with pytest.raises(ModelFileError, match="missing: .*fc2") as caught:
        official_network(path)
    assert len(str(caught.value)) < 500


def test_checkpoint_of_another_f_raises_and_writes_nothing(
    checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "official.onnx"
    with pytest.raises(PoseError, match="expected a checkpoint of 27 frames, got 9"):
        import_official(checkpoint, output, version="1.0.0", frames=27)
    assert not output.exists()
