"""Checkpoints of PoseFormer's own authors -> model files that serve like any other.

Such a file is `{epoch, lr, random_state, optimizer, model_pos}`; what we need is under `model_pos`,
each name with `module.` before it where it was trained on GPUs. Reading it runs nothing that the
file brings: torch's weights-only reader builds tensors and plain containers, and inert stand-ins
take the place of the pickled NumPy random state. The names are mapped to ours; everything must fit.
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
"""No tensor tells the number of heads; the authors use 8 on either side."""
LICENCE = "not stated by its authors; trained on data for non-commercial use"
FPS = (50.0, 50.0)
"""Human3.6M's, the only rate of the published training."""

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
"""All that a pickled RandomState is made of, as NumPy 1.16, 1.19, 1.24, 1.26, 2.2 and 2.4 write."""

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
"""Our name of each part of the network -> theirs."""
_LAYERS = {"attention": "attn", "mlp.0": "mlp.fc1", "mlp.2": "mlp.fc2"}


def import_official(
    checkpoint: Path, output: Path, *, version: str, frames: int | None = None
) -> ModelInfo:
    """Write a published checkpoint as a model file (float32, image normalisation, readout
    `centre`), checked against torch to 1e-5 m.

    `frames` is the f that is expected, where the caller knows it. Raises InvalidInput for a file
    that is no such checkpoint or has another f, ModelFileError for one whose tensors do not fit.
    """
    network = official_network(checkpoint)
    found = network.shape.frames
    if frames is not None and found != frames:
        raise InvalidInput(
            f"{checkpoint}: a checkpoint fits one f only: expected {frames}, found {found}"
        )
    info = ModelInfo(
        name=output.stem,
        version=version,
        frames=found,
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
    parser.add_argument("--frames", type=int, help="refuse a checkpoint of another f")


def import_command(options: argparse.Namespace) -> None:
    info = import_official(
        options.checkpoint, options.output, version=options.version, frames=options.frames
    )
    enter_in_manifest(options.output, info, origin_of(options.checkpoint))
    print(f"{options.output}: {info.frames} frames a window, equal to torch")


def origin_of(checkpoint: Path) -> str:
    """Where an imported file comes from, for the manifest."""
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    return f"converted from the PoseFormer checkpoint {checkpoint.name}, sha256 {digest}"


def official_network(checkpoint: Path) -> PoseFormer:
    """The network of a published checkpoint, its f and widths read from the tensors.

    Raises InvalidInput and ModelFileError as import_official does.
    """
    state = _model_pos(checkpoint)
    shape = _shape(state, checkpoint)
    network = PoseFormer(shape)
    ours = {_official_name(name): name for name in network.state_dict()}
    wanted = {theirs: network.state_dict()[name].shape for theirs, name in ours.items()}
    _check_fit(wanted, state, checkpoint)
    network.load_state_dict({ours[name]: value.float() for name, value in state.items()})
    return network.eval()


class _Inert:
    """Stands for an object that is not built: takes any arguments and any state, keeps none."""

    def __new__(cls, *arguments: object) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _read(path: Path) -> Any:
    """What the file holds: tensors, plain containers and stand-ins. Raises InvalidInput."""
    stand_ins: list[Any] = [(_Inert, name) for name in _NUMPY_NAMES]
    try:
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # of torch, pickle and zip, all kinds of them
        if asked := re.search(r"GLOBAL (\S+)", str(error)):
            raise InvalidInput(
                f"{path}: refused, and nothing in it was run: a PoseFormer checkpoint holds "
                f"tensors and a NumPy random state, this file asks for {asked[1]}"
            ) from error
        raise InvalidInput(
            f"{path}: not a checkpoint that torch can read as tensors ({_first_line(error)})"
        ) from error


def _model_pos(path: Path) -> dict[str, Tensor]:
    """The tensors under `model_pos`, without `module.`. Raises InvalidInput."""
    content = _read(path)
    state = content.get("model_pos") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state:
        raise InvalidInput(
            f"{path}: not a PoseFormer checkpoint: expected tensors under model_pos, "
            f"found {_described(content)}"
        )
    if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise InvalidInput(f"{path}: not a PoseFormer checkpoint: model_pos is not all tensors")
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): value for name, value in state.items()}
    return dict(state)


def _described(content: object) -> str:
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    return f"the fields {', '.join(map(str, content))[:200] or 'none'}"


def _shape(state: Mapping[str, Tensor], path: Path) -> NetworkShape:
    """What the network is built from, as the tensors tell. Raises ModelFileError."""
    width, channels = _sizes(state, "Spatial_patch_to_embedding.weight", 2, path)
    _, frames, _ = _sizes(state, "Temporal_pos_embed", 3, path)
    hidden, _ = _sizes(state, "Spatial_blocks.0.mlp.fc1.weight", 2, path)
    if channels != 2:
        raise ModelFileError(f"{path}: expected 2 channels (x, y) a joint, found {channels}")
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
        raise ModelFileError(f"{path}: no PoseFormer is of this shape: {error}") from error


def _sizes(state: Mapping[str, Tensor], name: str, axes: int, path: Path) -> tuple[int, ...]:
    if name not in state:
        raise ModelFileError(f"{path}: not PoseFormer's names: expected {name}, found no such")
    sizes = tuple(state[name].shape)
    if len(sizes) != axes or 0 in sizes:
        raise ModelFileError(f"{path}: expected {axes} axes in {name}, found {sizes}")
    return sizes


def _depth(state: Mapping[str, Tensor], blocks: str) -> int:
    """How many blocks there are: each is counted, whatever number it claims."""
    return len({name.split(".")[1] for name in state if name.startswith(blocks + ".")})


def _official_name(name: str) -> str:
    """Our name of a tensor -> theirs."""
    part, _, layer = name.partition(".")
    for ours, theirs in _LAYERS.items():
        layer = layer.replace(ours, theirs)
    return f"{_PARTS[part]}.{layer}".removesuffix(".")


def _check_fit(wanted: Mapping[str, torch.Size], found: Mapping[str, Tensor], path: Path) -> None:
    """Every tensor is there, none besides, each of its size and finite. Raises ModelFileError."""
    shared = wanted.keys() & found.keys()
    faults = {
        "missing": wanted.keys() - found.keys(),
        "not of this network": found.keys() - wanted.keys(),
        "not finite": {name for name in shared if not found[name].isfinite().all()},
        "of another size": {
            f"{name} {tuple(found[name].shape)}, expected {tuple(wanted[name])}"
            for name in shared
            if found[name].shape != wanted[name]
        },
    }
    told = [f"{kind}: {_listed(names)}" for kind, names in faults.items() if names]
    if told:
        raise ModelFileError(f"{path} does not fit PoseFormer; " + "; ".join(told))


def _listed(names: set[str]) -> str:
    rest = len(names) - 5
    return ", ".join(sorted(names)[:5]) + (f" and {rest} more" if rest > 0 else "")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
