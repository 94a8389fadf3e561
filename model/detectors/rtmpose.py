"""RTMPose and RTMO as ONNX, without torch, on the lifter's device.

RTMPose (Jiang et al., 2023; also RTMW and DWPose) reads one person at a time and returns a
one-dimensional curve per joint and axis (SimCC, Li et al., ECCV 2022). RTMO (Lu et al., CVPR 2024)
returns all people in the image at once.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np

from model.detectors.boxes import open_boxes, suppress
from model.detectors.names import DetectorName
from model.detectors.network import ImageNetwork, open_network
from model.detectors.opening import Detector
from model.detectors.person import Person
from model.detectors.published import POSE_MODELS, network_file
from model.detectors.top_down import TopDownDetector, to_people
from model.detectors.view import View
from model.errors import DetectorUnavailable, InvalidInput
from model.keypoints.joint_sets import COCO17, HALPE26, WHOLEBODY133, skeleton_named
from model.keypoints.sequences import Float32, Image
from model.keypoints.skeleton import Skeleton

BINS_PER_PIXEL = 2
"""SimCC's split ratio: curve positions per input pixel."""
_RGB_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
_RGB_SPREAD = np.array([58.395, 57.12, 57.375], np.float32)
_SKELETONS_BY_COUNT: Mapping[object, Skeleton] = {17: COCO17, 26: HALPE26, 133: WHOLEBODY133}
"""The default joint set by number of joints."""


def open_rtmpose(name: DetectorName, max_people: int, device: str) -> Detector:
    """The detector of a known model, a file or a URL.

    Raises InvalidInput, DetectorUnavailable, DeviceUnavailable.
    """
    network = open_network(network_file(name.model, POSE_MODELS), device)
    ranks = [len(shape) for shape in network.output_shapes]
    if ranks == [3, 4]:
        return _open_rtmo(name, network, max_people)
    if ranks != [3, 3]:
        raise DetectorUnavailable(
            f"{network.name} is neither RTMPose, outputs (n, joints, bins) for x and y, nor RTMO, "
            f"outputs (1, n, 5) and (1, n, joints, 3); got {network.output_shapes}"
        )
    return TopDownDetector(
        name_and_version=("rtmpose", network.name),
        skeleton=_skeleton(name, network, network.output_shapes[0][1]),
        boxes=open_boxes(name, max_people, device),
        estimate=partial(estimate, network),
        max_people=max_people,
    )


def estimate(network: ImageNetwork, image: Image, boxes: Float32) -> list[Person]:
    """The people in n boxes, in one call of the network."""
    views = [View.around(box, network.input_size) for box in boxes]
    curves = network.run([view.cut(image) for view in views], _RGB_MEAN, _RGB_SPREAD)
    xy, score = decode_simcc(*curves)
    in_image = np.stack([view.to_image(joints) for view, joints in zip(views, xy, strict=True)])
    return to_people(in_image, score, network.name)


def decode_simcc(x: Float32, y: Float32) -> tuple[Float32, Float32]:
    """Curves (n, J, bins of the width) and (n, J, bins of the height) -> xy (n, J, 2) input px, at
    each curve's maximum, and score (n, J), the lower of the two maxima."""
    xy = np.stack([x.argmax(axis=-1), y.argmax(axis=-1)], axis=-1) / np.float32(BINS_PER_PIXEL)
    return xy.astype(np.float32), np.minimum(x.max(axis=-1), y.max(axis=-1))


class RtmoDetector:
    """All people at once, each image independently."""

    def __init__(self, network: ImageNetwork, skeleton: Skeleton, max_people: int):
        self.name, self.version = "rtmpose", network.name
        self.skeleton = skeleton
        self._network = network
        self._max_people = max_people

    def detect(self, image: Image, time_s: float) -> list[Person]:
        view = View.letterbox(image, self._network.input_size)
        bgr = view.cut(image)[..., ::-1]
        raw = self._network.run([bgr], np.zeros(3, np.float32), np.ones(3, np.float32))
        boxes, joints = (output[0] for output in raw)
        kept = suppress(boxes[:, :4], boxes[:, 4])[: self._max_people]
        if not kept:
            return []
        joints = joints[kept]
        return to_people(view.to_image(joints[..., :2]), joints[..., 2], self.version)

    def close(self) -> None: ...


def _open_rtmo(name: DetectorName, network: ImageNetwork, max_people: int) -> Detector:
    if name.boxes:
        raise InvalidInput(
            f"{network.name} takes no boxes, got boxes={name.boxes[:80]}; leave it out",
            ("detector",),
        )
    return RtmoDetector(network, _skeleton(name, network, network.output_shapes[1][2]), max_people)


def _skeleton(name: DetectorName, network: ImageNetwork, joints: object) -> Skeleton:
    skeleton = skeleton_named(name.joints) if name.joints else _SKELETONS_BY_COUNT.get(joints)
    if skeleton is None or len(skeleton.joints) != joints:
        raise DetectorUnavailable(
            f"{network.name} has {joints} joints; name a joint set of as many, as in "
            "rtmpose:FILE,joints=crowdpose14"
        )
    return skeleton
