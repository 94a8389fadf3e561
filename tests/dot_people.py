"""Synthetic people of 17 coloured dots at known pixels, and small networks that find the dots by
colour."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from model.keypoints.sequences import Float32, Image

JOINTS = 17
GREY = 128.0
SWING = 100.0
DOT_PX = 4.0
MEAN = np.array([123.675, 116.28, 103.53])
SPREAD = np.array([58.395, 57.12, 57.375])


def colours(joints: int = JOINTS) -> Float32:
    """RGB directions (joints, 3) from grey: two rings, away from black and white, so that none
    matches the edge of an image."""
    ring = (joints + 1) // 2
    turn = 2 * np.pi * (np.arange(joints) % ring + np.arange(joints) // ring / 2) / ring
    height = np.where(np.arange(joints) < ring, 0.42, -0.42)
    bright, red, blue = np.ones(3) / 3**0.5, [2, -1, -1] / np.sqrt(6), [0, 1, -1] / np.sqrt(2)
    around = np.cos(turn)[:, None] * red + np.sin(turn)[:, None] * blue
    return np.float32(height[:, None] * bright + np.sqrt(1 - height**2)[:, None] * around)


def bell(distance_px: Float32) -> Float32:
    return np.exp(-(distance_px**2) / (2 * DOT_PX**2))


def draw(people: Sequence[Float32], size: tuple[int, int]) -> Image:
    """A grey image with each person's dots (17, 2) px."""
    image = np.full((size[1], size[0], 3), GREY)
    x, y = np.arange(size[0]), np.arange(size[1])
    for joints in people:
        for (px, py), colour in zip(joints, colours(len(joints)), strict=True):
            columns, rows = (np.flatnonzero(abs(line - at) < 20) for line, at in ((x, px), (y, py)))
            across, down = (bell(line - at) for line, at in ((columns, px), (rows, py)))
            patch = np.ix_(rows, columns)
            image[patch] += (down[:, None] * across)[..., None] * SWING * colour
    return np.clip(image.round(), 0, 255).astype(np.uint8)


def standing(x: float, y: float, size: float) -> Float32:
    """COCO-17 joints of a person about `size` px tall, centred at (x, y)."""
    shape = [(0, -42), (7, -50), (-7, -50), (15, -43), (-15, -43), (15, -30), (-15, -30)]
    shape += [(24, -12), (-24, -12), (28, 6), (-28, 6), (10, 4), (-10, 4)]
    shape += [(12, 28), (-12, 28), (14, 50), (-14, 50)]
    return np.float32([x, y]) + np.float32(shape) * np.float32(size / 100)


def box_around(joints: Float32, margin_px: float = 8) -> Float32:
    return np.concatenate([joints.min(axis=0) - margin_px, joints.max(axis=0) + margin_px])


def simcc_network(
    path: Path, *, size: tuple[int, int] = (96, 128), joints: int = JOINTS, batch: str | int = "n"
) -> Path:
    """Outputs as RTMPose: each joint's two curves are the similarity of a column or row to its
    colour, 1 at the colour and 0 at grey."""
    shades = (GREY + SWING * colours(joints)) / SWING
    constants: dict[str, NDArray[np.generic]] = {
        "spread": np.float32(SPREAD / SWING)[:, None, None],
        "mean": np.float32(MEAN / SWING)[:, None, None],
        "weights": np.float32(2 * shades)[..., None, None],
        "bias": np.float32(1 - (shades**2).sum(axis=1)),
        "channels": np.array([1]),
        "rows": np.array([2]),
        "columns": np.array([3]),
        "twice": np.float32([1, 1, 2]),
    }
    node = helper.make_node
    nodes = [
        node("Mul", ["input", "spread"], ["scaled"]),
        node("Add", ["scaled", "mean"], ["rgb"]),
        node("Conv", ["rgb", "weights", "bias"], ["alike"]),
        node("ReduceSumSquare", ["rgb", "channels"], ["square"]),
        node("Sub", ["alike", "square"], ["map"]),
        node("ReduceMax", ["map", "rows"], ["x"], keepdims=0),
        node("ReduceMax", ["map", "columns"], ["y"], keepdims=0),
        node("Resize", ["x", "", "twice"], ["simcc_x"], mode="nearest"),
        node("Resize", ["y", "", "twice"], ["simcc_y"], mode="nearest"),
    ]
    outputs = {"simcc_x": [batch, joints, 2 * size[0]], "simcc_y": [batch, joints, 2 * size[1]]}
    return _saved(path, nodes, constants, [batch, 3, size[1], size[0]], outputs)


def constant_network(path: Path, size: tuple[int, int], **outputs: NDArray[np.generic]) -> Path:
    """A network whose outputs do not depend on its input."""
    nodes, constants = [], dict(outputs)
    for name in outputs:
        constants[f"{name}_value"] = constants.pop(name)
        nodes.append(helper.make_node("Identity", [f"{name}_value"], [name]))
    shapes = {name: list(value.shape) for name, value in outputs.items()}
    return _saved(path, nodes, constants, [1, 3, size[1], size[0]], shapes)


def mean_box_network(path: Path, size: tuple[int, int]) -> Path:
    """Outputs as a box detector: one box, its left, top and right the means of the three channels,
    its bottom 1000, its score 0.9."""
    constants = {"rest": np.float32([[[1000, 0.9]]]), "labels_value": np.zeros((1, 1), np.int64)}
    constants["across"] = np.array([2, 3])
    constants["shape"] = np.array([1, 1, 3])
    nodes = [
        helper.make_node("ReduceMean", ["input", "across"], ["means"], keepdims=0),
        helper.make_node("Reshape", ["means", "shape"], ["sides"]),
        helper.make_node("Concat", ["sides", "rest"], ["dets"], axis=2),
        helper.make_node("Identity", ["labels_value"], ["labels"]),
    ]
    outputs = {"dets": [1, 1, 5], "labels": [1, 1]}
    return _saved(path, nodes, constants, [1, 3, size[1], size[0]], outputs)


def _saved(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, NDArray[np.generic]],
    input_shape: list[str | int],
    outputs: dict[str, list[str | int]],
) -> Path:
    types = {name: TensorProto.INT64 if name == "labels" else TensorProto.FLOAT for name in outputs}
    graph = helper.make_graph(
        nodes,
        "dots",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info(n, types[n], shape) for n, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
