"""RTMPose and RTMO as ONNX: no torch, and the same execution provider as the lifter.

RTMPose (Jiang et al., 2023; also RTMW and DWPose) looks at one person at a time and answers with a
one-dimensional curve for each joint and axis (SimCC, Li et al., ECCV 2022). RTMO (Lu et al., CVPR
2024) answers with everybody in the picture at once.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np

from model.detectors.boxes import open_boxes, suppress
from model.detectors.names import DetectorName
from model.detectors.network import PictureNetwork, open_network
from model.detectors.opening import Detector
from model.detectors.person import Person
from model.detectors.published import POSE_MODELS, network_file
from model.detectors.top_down import TopDownDetector, seen_people
from model.detectors.view import Picture, View
from model.errors import DetectorUnavailable, InvalidInput
from model.keypoints.joint_sets import COCO17, HALPE26, WHOLEBODY133, skeleton_named
from model.keypoints.sequences import Float32
from model.keypoints.skeleton import Skeleton

BINS_A_PIXEL = 2
"""SimCC's split ratio: positions along a curve for each pixel of the input."""
_RGB_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
_RGB_SPREAD = np.array([58.395, 57.12, 57.375], np.float32)
_BY_COUNT: Mapping[object, Skeleton] = {17: COCO17, 26: HALPE26, 133: WHOLEBODY133}
"""The joint set of a network with so many joints, where the name does not say another."""


def open_rtmpose(asked: DetectorName, max_people: int, device: str) -> Detector:
    """The detector of a known model, a file, or a URL.

    Raises InvalidInput, DetectorUnavailable, DeviceUnavailable.
    """
    network = open_network(network_file(asked.model, POSE_MODELS), device)
    ranks = [len(shape) for shape in network.output_shapes]
    if ranks == [3, 4]:
        return _open_rtmo(asked, network, max_people)
    if ranks != [3, 3]:
        raise DetectorUnavailable(
            f"{network.name} is neither RTMPose, outputs (n, joints, bins) for x and y, nor RTMO, "
            f"outputs (1, n, 5) and (1, n, joints, 3); it has {network.output_shapes}"
        )
    return TopDownDetector(
        named=("rtmpose", network.name),
        skeleton=_skeleton(asked, network, network.output_shapes[0][1]),
        boxes=open_boxes(asked, max_people, device),
        estimate=partial(estimate, network),
        max_people=max_people,
    )


def estimate(network: PictureNetwork, image: Picture, boxes: Float32) -> list[Person]:
    """The people in n boxes, all in one call of the network."""
    views = [View.around(box, network.input_size) for box in boxes]
    curves = network.run([view.cut(image) for view in views], _RGB_MEAN, _RGB_SPREAD)
    xy, score = decode_simcc(*curves)
    in_image = np.stack([view.to_image(one) for view, one in zip(views, xy, strict=True)])
    return seen_people(in_image, score, network.name)


def decode_simcc(x: Float32, y: Float32) -> tuple[Float32, Float32]:
    """Curves (n, J, bins of the width) and (n, J, bins of the height) -> xy (n, J, 2) px of the
    input and score (n, J): where each curve is highest, and the lower one's height."""
    xy = np.stack([x.argmax(axis=-1), y.argmax(axis=-1)], axis=-1) / np.float32(BINS_A_PIXEL)
    return xy.astype(np.float32), np.minimum(x.max(axis=-1), y.max(axis=-1))


class RtmoDetector:
    """Everybody at once, each picture for itself."""

    def __init__(self, network: PictureNetwork, skeleton: Skeleton, max_people: int):
        self.name, self.version = "rtmpose", network.name
        self.skeleton = skeleton
        self._network = network
        self._max_people = max_people

    def detect(self, image: Picture, time_s: float) -> list[Person]:
        view = View.letterbox(image, self._network.input_size)
        bgr = view.cut(image)[..., ::-1]
        raw = self._network.run([bgr], np.zeros(3, np.float32), np.ones(3, np.float32))
        boxes, joints = (output[0] for output in raw)
        kept = suppress(boxes[:, :4], boxes[:, 4])[: self._max_people]
        if not kept:
            return []
        found = joints[kept]
        return seen_people(view.to_image(found[..., :2]), found[..., 2], self.version)

    def close(self) -> None: ...


def _open_rtmo(asked: DetectorName, network: PictureNetwork, max_people: int) -> Detector:
    if asked.boxes:
        raise InvalidInput(
            f"{network.name} finds people by itself; boxes={asked.boxes[:80]} says nothing to it",
            ("detector",),
        )
    return RtmoDetector(network, _skeleton(asked, network, network.output_shapes[1][2]), max_people)


def _skeleton(asked: DetectorName, network: PictureNetwork, joints: object) -> Skeleton:
    skeleton = skeleton_named(asked.joints) if asked.joints else _BY_COUNT.get(joints)
    if skeleton is None or len(skeleton.joints) != joints:
        raise DetectorUnavailable(
            f"{network.name} answers {joints} joints; say which joint set of so many they are, as "
            "in rtmpose:FILE,joints=crowdpose14"
        )
    return skeleton
