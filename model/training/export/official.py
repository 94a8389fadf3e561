"""Checkpoints of PoseFormer's authors -> model files.

Such a file is `{epoch, lr, random_state, optimizer, model_pos}`; the weights are under `model_pos`,
with the prefix `module.` if they were trained on GPUs. Reading executes no code from the file:
torch's weights-only reader builds tensors and plain containers, and placeholders replace the
pickled NumPy random state. Names are mapped to ours; every tensor must fit.
"""

import argparse
import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.errors import InvalidInput, ModelFileError
from model.lifting.model_files import ModelInfo, enter_in_manifest
from model.training.export.onnx_file import export
from model.training.networks.poseformer import NetworkShape, PoseFormer

HEADS = 8
"""Not stored in any tensor; the authors use 8 in both halves."""
LICENCE = "not stated by its authors; trained on data for non-commercial use"
FPS = (50.0, 50.0)
"""Human3.6M's frame rate, the only one in the published training."""

_NUMPY_NAMES = (
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",  # since NumPy 2
    "numpy._core.multiarray.scalar",
    "numpy.random.__RandomState_ctor",  # before NumPy 1.17
    "numpy.random._pickle.__randomstate_ctor",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._mt19937.MT19937",  # since NumPy 2
)
"""Types in a pickled RandomState, as written by NumPy 1.16, 1.19, 1.24, 1.26, 2.2 and 2.4."""

_PARTS = {
    "joint_embedding": "Spatial_patch_to_embedding",
    "joint_positions": "Spatial_pos_embed",
    "spatial": "Spatial_blocks",
    "spatial_norm": "Spatial_norm",
    "frame_positions": "Temporal_pos_embed",
    "temporal": "blocks",
    "temporal_norm": "Temporal_norm",
    "frame_mean": "weighted_mean",
    "head_norm": "head.0",
    "head": "head.1",
}
"""Our name of each part -> the authors' name."""
_LAYERS = {"attention": "attn", "mlp.0": "mlp.fc1", "mlp.2": "mlp.fc2"}


def import_official(
    checkpoint: Path, output: Path, *, version: str, frames: int | None = None
) -> ModelInfo:
    """Write a published checkpoint as a model file (float32, image normalisation, readout
    `centre`), checked against torch to 1e-5 m.

    `frames` is the expected f, if known. Raises InvalidInput for a file that is no such checkpoint
    or has another f, ModelFileError for one whose tensors do not fit.
    """
    network = official_network(checkpoint)
    stored_frames = network.shape.frames
    if frames is not None and stored_frames != frames:
        raise InvalidInput(
            f"{checkpoint}: expected a checkpoint of {frames} frames, got {stored_frames}"
        )
    info = ModelInfo(
        name=output.stem,
        version=version,
        frames=stored_frames,
        channels=network.shape.channels,
        normalisation="image",
        readouts=("centre",),
        height_m=None,
        fps=FPS,
        licence=LICENCE,
        training_commit="",
        metrics={},
        shape=asdict(network.shape),
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    export(network, info, output, half_storage=False)
    return info


def import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Write a checkpoint of PoseFormer's authors as a model file."
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="weights/NAME.onnx")
    parser.add_argument("--version", default="1.0.0", help="of the model file")
    parser.add_argument("--frames", type=int, help="reject a checkpoint of another f")


def import_command(options: argparse.Namespace) -> None:
    info = import_official(
        options.checkpoint, options.output, version=options.version, frames=options.frames
    )
    enter_in_manifest(options.output, info, origin_of(options.checkpoint))
    print(f"{options.output}: {info.frames} frames per window, outputs equal to torch")


def origin_of(checkpoint: Path) -> str:
    """The manifest's origin of an imported file."""
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    return f"converted from the PoseFormer checkpoint {checkpoint.name}, sha256 {digest}"


def official_network(checkpoint: Path) -> PoseFormer:
    """The network of a published checkpoint; f and widths are read from the tensors.

    Raises InvalidInput and ModelFileError as import_official does.
    """
    state = _model_pos(checkpoint)
    shape = _shape(state, checkpoint)
    network = PoseFormer(shape)
    ours = {_official_name(name): name for name in network.state_dict()}
    expected = {theirs: network.state_dict()[name].shape for theirs, name in ours.items()}
    _check_fit(expected, state, checkpoint)
    network.load_state_dict({ours[name]: value.float() for name, value in state.items()})
    return network.eval()


class _Placeholder:
    """Replaces an object that is not built: accepts any arguments and state, stores none."""

    def __new__(cls, *arguments: object) -> "_Placeholder":
        return super().__new__(cls)

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _read(path: Path) -> Any:
    """The file's content: tensors, plain containers and placeholders. Raises InvalidInput."""
    placeholders: list[Any] = [(_Placeholder, name) for name in _NUMPY_NAMES]
    try:
        with torch.serialization.safe_globals(placeholders):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # torch, pickle and zip raise many types
        if name := re.search(r"GLOBAL (\S+)", str(error)):
            raise InvalidInput(
                f"{path}: rejected without running its code: a PoseFormer checkpoint contains "
                f"tensors and a NumPy random state, this file also contains {name[1]}"
            ) from error
        raise InvalidInput(
            f"{path}: not a checkpoint that torch can read as tensors ({_first_line(error)})"
        ) from error


def _model_pos(path: Path) -> dict[str, Tensor]:
    """The tensors under `model_pos`, without the prefix `module.`. Raises InvalidInput."""
    content = _read(path)
    state = content.get("model_pos") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state:
        raise InvalidInput(
            f"{path}: not a PoseFormer checkpoint: expected tensors under model_pos, "
            f"got {_described(content)}"
        )
    if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise InvalidInput(f"{path}: not a PoseFormer checkpoint: model_pos must hold only tensors")
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): value for name, value in state.items()}
    return dict(state)


def _described(content: object) -> str:
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    return f"the fields {', '.join(map(str, content))[:200] or 'none'}"


def _shape(state: Mapping[str, Tensor], path: Path) -> NetworkShape:
    """Hyperparameters, from the tensors' sizes. Raises ModelFileError."""
    width, channels = _sizes(state, "Spatial_patch_to_embedding.weight", 2, path)
    _, frames, _ = _sizes(state, "Temporal_pos_embed", 3, path)
    hidden, _ = _sizes(state, "Spatial_blocks.0.mlp.fc1.weight", 2, path)
    if channels != 2:
        raise ModelFileError(f"{path}: expected 2 channels (x, y) per joint, got {channels}")
    try:
        return NetworkShape(
            frames=frames,
            channels=channels,
            joint_width=width,
            spatial_depth=_depth(state, "Spatial_blocks"),
            temporal_depth=_depth(state, "blocks"),
            heads=HEADS,
            mlp_ratio=hidden / width,
        )
    except ValueError as error:
        raise ModelFileError(f"{path}: not the shape of a PoseFormer: {error}") from error


def _sizes(state: Mapping[str, Tensor], name: str, axes: int, path: Path) -> tuple[int, ...]:
    if name not in state:
        raise ModelFileError(f"{path}: not a PoseFormer: the tensor {name} is missing")
    sizes = tuple(state[name].shape)
    if len(sizes) != axes or 0 in sizes:
        raise ModelFileError(f"{path}: {name} must have {axes} axes, got {sizes}")
    return sizes


def _depth(state: Mapping[str, Tensor], blocks: str) -> int:
    """The number of blocks, whatever their numbers."""
    return len({name.split(".")[1] for name in state if name.startswith(blocks + ".")})


def _official_name(name: str) -> str:
    """Our name of a tensor -> the authors' name."""
    part, _, layer = name.partition(".")
    for ours, theirs in _LAYERS.items():
        layer = layer.replace(ours, theirs)
    return f"{_PARTS[part]}.{layer}".removesuffix(".")


def _check_fit(
    expected: Mapping[str, torch.Size], tensors: Mapping[str, Tensor], path: Path
) -> None:
    """Raises ModelFileError if tensors are missing, unknown, not finite or of another size."""
    shared = expected.keys() & tensors.keys()
    faults = {
        "missing": expected.keys() - tensors.keys(),
        "not of this network": tensors.keys() - expected.keys(),
        "not finite": {name for name in shared if not tensors[name].isfinite().all()},
        "of another size": {
            f"{name} {tuple(tensors[name].shape)}, expected {tuple(expected[name])}"
            for name in shared
            if tensors[name].shape != expected[name]
        },
    }
    lists = [f"{fault}: {_listed(names)}" for fault, names in faults.items() if names]
    if lists:
        raise ModelFileError(f"{path} does not fit PoseFormer; " + "; ".join(lists))


def _listed(names: set[str]) -> str:
    rest = len(names) - 5
    return ", ".join(sorted(names)[:5]) + (f" and {rest} more" if rest > 0 else "")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
