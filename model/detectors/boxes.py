"""Person boxes for top-down networks, which read one person at a time."""

from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np

from model.detectors.mediapipe.landmarker import MediaPipeDetector
from model.detectors.names import DetectorName
from model.detectors.network import ImageNetwork, open_network
from model.detectors.published import BOX_MODELS, network_file
from model.detectors.view import View
from model.errors import DetectorUnavailable, InvalidInput
from model.keypoints.sequences import Float32, Image

MIN_SCORE = 0.3
MAX_OVERLAP = 0.65
"""Of two boxes with a higher intersection over union, the one with the higher score is kept."""
_STRIDES = (8, 16, 32)
_BGR_MEAN = np.array([103.53, 116.28, 123.675], np.float32)
_BGR_SPREAD = np.array([57.375, 57.12, 58.395], np.float32)


class BoxDetector(Protocol):
    """Detects boxes (n, 4) of people: left, top, right, bottom px, highest score first; n may be 0.
    `follows`: whether the next frame may reuse the person's last place instead of a new search."""

    @property
    def follows(self) -> bool: ...

    def find(self, image: Image, time_s: float) -> Float32: ...
    def close(self) -> None: ...


class WholeImage:
    """The whole image as one person's box."""

    follows = False

    def find(self, image: Image, time_s: float) -> Float32:
        height, width = image.shape[:2]
        return np.array([[0, 0, width, height]], np.float32)

    def close(self) -> None: ...


class MediaPipeBoxes:
    """Boxes of the people that MediaPipe detects."""

    follows = True

    def __init__(self, max_people: int):
        self._detector = MediaPipeDetector(max_people)

    def find(self, image: Image, time_s: float) -> Float32:
        boxes = [np.concatenate(person.box()) for person in self._detector.detect(image, time_s)]
        return np.array(boxes, np.float32).reshape(-1, 4)

    def close(self) -> None:
        self._detector.close()


class NetworkBoxes:
    """A YOLOX or RTMDet network exported by OpenMMLab (boxes (1, n, 5) with a score, and labels
    (1, n), 0: person), or a YOLOX exported by its authors ((1, n, 5 + classes), not decoded)."""

    follows = True

    def __init__(self, network: ImageNetwork, *, normalised: bool):
        self._network = network
        self._mean = _BGR_MEAN if normalised else np.zeros(3, np.float32)
        self._spread = _BGR_SPREAD if normalised else np.ones(3, np.float32)
        shapes = network.output_shapes
        self._decoded = len(shapes) == 2
        if [len(shape) for shape in shapes] not in ([3, 2], [3]):
            raise DetectorUnavailable(
                f"{network.name}: expected outputs (1, n, 5) and (1, n), or (1, n, 5 + classes), "
                f"got {shapes}"
            )

    def find(self, image: Image, time_s: float) -> Float32:
        view = View.letterbox(image, self._network.input_size)
        bgr = view.cut(image)[..., ::-1]
        outputs = [output[0] for output in self._network.run([bgr], self._mean, self._spread)]
        if self._decoded:
            boxes, scores = outputs[0][:, :4], outputs[0][:, 4] * (outputs[1] == 0)
        else:
            boxes, scores = decode_yolox(outputs[0], self._network.input_size)
        kept = suppress(boxes, scores)
        return view.to_image(boxes[kept].reshape(-1, 2)).reshape(-1, 4)

    def close(self) -> None: ...


def decode_yolox(rows: Float32, size: tuple[int, int]) -> tuple[Float32, Float32]:
    """Rows (n, 5 + classes) of a YOLOX network -> boxes (n, 4) px of its input and person scores
    (n,). A row: box centre relative to its cell, in cells; log of the sides in cells; object
    score; class scores, person first (Ge et al., YOLOX, 2021)."""
    cells, steps = [], []
    for stride in _STRIDES:
        columns, lines = size[0] // stride, size[1] // stride
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(lines)), axis=-1).reshape(-1, 2)
        cells.append(grid)
        steps.append(np.full((len(grid), 1), stride))
    cell, step = np.concatenate(cells), np.concatenate(steps)
    if len(cell) != len(rows):
        raise DetectorUnavailable(f"a YOLOX network must have {len(cell)} rows, got {len(rows)}")
    centre = (rows[:, :2] + cell) * step
    half = np.exp(rows[:, 2:4]) * step / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
    return boxes, rows[:, 4] * rows[:, 5]


def suppress(boxes: Float32, scores: Float32) -> list[int]:
    """Non-maximum suppression: indices of the boxes (n, 4) to keep, highest score first, without
    low scores and values that are not finite."""
    usable = np.flatnonzero(np.isfinite(boxes).all(axis=1) & np.isfinite(scores))
    corners, sides = boxes[usable, :2], boxes[usable, 2:] - boxes[usable, :2]
    rectangles = np.concatenate([corners, sides], axis=1).tolist()
    kept = cv2.dnn.NMSBoxes(rectangles, scores[usable].tolist(), MIN_SCORE, MAX_OVERLAP)
    return [int(usable[index]) for index in kept]


def open_boxes(name: DetectorName, max_people: int, device: str) -> BoxDetector:
    """The box detector of `boxes=`: mediapipe (the default), whole-image, a known model, yolox:FILE
    or rtmdet:FILE. Raises InvalidInput, DetectorUnavailable, DeviceUnavailable."""
    builtin: dict[str, Callable[[], BoxDetector]] = {
        "": lambda: MediaPipeBoxes(max_people),
        "mediapipe": lambda: MediaPipeBoxes(max_people),
        "whole-image": WholeImage,
    }
    if name.boxes in builtin:
        return builtin[name.boxes]()
    family, _, model = name.boxes.partition(":")
    if name.boxes in BOX_MODELS:
        family, model = "yolox", name.boxes
    if family not in ("yolox", "rtmdet"):
        known = ", ".join([*filter(None, builtin), *BOX_MODELS, "yolox:FILE", "rtmdet:FILE"])
        raise InvalidInput(
            f"unknown boxes={name.boxes[:80]}; expected one of {known}", ("detector",)
        )
    network = open_network(network_file(model, BOX_MODELS), device)
    return NetworkBoxes(network, normalised=family == "rtmdet")
