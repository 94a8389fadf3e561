"""A model file -> the network that it was exported from: the inverse of export/onnx_file.py.

Norms and biases keep their names in the file. Matrices of linear layers that are stored transposed
lose theirs and are read in the order in which the graph multiplies by them, which is the network's.
An arranged file (export/arranged.py) gives a network with the same outputs but other weights: the
embedding's bias is part of the joint positions, frame positions are centred, the mean over frames
has no bias, and the bias of the first temporal block's norm is part of the product that follows.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from model.errors import InvalidInput, ModelFileError
from model.lifting.model_files import read_model
from model.training.export.onnx_file import check_parity
from model.training.networks.checkpoints import averaged_network
from model.training.networks.poseformer import NetworkShape, PoseFormer

Values = NDArray[Any]

_PREFIXES = ("spatial/network.", "temporal/network.")
_BLOCK = "temporal.0."


def stored_network(path: Path) -> PoseFormer:
    """The network of a checkpoint (its averaged weights) or of a model file. Raises ModelFileError
    and InvalidInput."""
    return network_of_file(path) if is_model_file(path) else averaged_network(path)


def is_model_file(path: Path) -> bool:
    return path.suffix == ".onnx"


def network_of_file(path: Path) -> PoseFormer:
    """The network in a float32 model file of `poselift export`, in evaluation mode, checked against
    the file's outputs. Raises ModelFileError, and InvalidInput for any other kind of model file."""
    model, info = read_model(path)
    try:
        network = PoseFormer(NetworkShape(**dict[str, Any](info.shape)))
        network.load_state_dict(_state(model, network))
        check_parity(network.eval(), path)
    except (TypeError, ValueError, KeyError, RuntimeError, ModelFileError) as error:
        raise InvalidInput(
            f"{path} does not hold a network that can be trained; expected a float32 file written "
            f"by poselift export ({error})"
        ) from error
    return network


def _state(model: onnx.ModelProto, network: PoseFormer) -> dict[str, torch.Tensor]:
    stored = _initialisers(model)
    state = {
        name.removeprefix(prefix): torch.tensor(values)
        for name, values in stored.items()
        for prefix in _PREFIXES
        if name.startswith(prefix)
    }
    if "shares/matrix" in stored:
        return state | _rearranged({name: torch.tensor(stored[name]) for name in stored})
    linear = [name for name, part in network.named_modules() if isinstance(part, nn.Linear)]
    factors = [
        stored[node.input[1]]
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[1] in stored
    ]
    for name, matrix in zip(linear, factors, strict=True):
        state[f"{name}.weight"] = torch.tensor(matrix.T.copy())
    return state


def _rearranged(kept: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights that an arranged file stores under other names, by the network's names."""
    head = kept.get("temporal/head_matrix")  # its name in files of older versions
    return ({} if head is None else {"head.weight": head.T}) | {
        "joint_embedding.weight": kept["spatial/embedding"].T,
        "joint_embedding.bias": torch.zeros(kept["spatial/embedding"].shape[1]),
        "joint_positions": kept["spatial/positions"].transpose(0, 1),
        "frame_positions": kept["temporal/positions"].transpose(0, 1),
        "frame_mean.weight": kept["temporal/frame_weights"][..., None],
        "frame_mean.bias": torch.zeros(1),
        f"{_BLOCK}norm1.weight": kept["shares/scale"],
        f"{_BLOCK}norm1.bias": torch.zeros_like(kept["shares/scale"]),
        f"{_BLOCK}attention.qkv.weight": kept["shares/matrix"].T,
        f"{_BLOCK}attention.qkv.bias": kept["temporal/share_bias"],
    }


def _initialisers(model: onnx.ModelProto) -> dict[str, Values]:
    """Initialisers by the name that the graph uses: float16 ones are used through a Cast."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in stored:
            stored[node.output[0]] = stored.pop(node.input[0]).astype(np.float32)
    return stored
