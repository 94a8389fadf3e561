"""What part of a picture a network sees, and the way back to the picture's pixels."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.keypoints.sequences import Float32

Picture = NDArray[np.uint8]

PADDING = 1.25
"""How much larger than a person's box the part is that a top-down network sees; the value that
MMPose trains with."""
LETTERBOX_GREY = 114
"""What fills up a picture of another shape; the value that YOLOX, RTMDet and RTMO train with."""


@dataclass(frozen=True)
class View:
    """A network's input of `size` (width, height) px, where input = picture * scale + offset."""

    scale: float
    offset: tuple[float, float]
    size: tuple[int, int]
    fill: int = 0

    @staticmethod
    def around(box: Float32, size: tuple[int, int]) -> "View":
        """The person's box (left, top, right, bottom), padded, and widened or heightened to the
        input's shape about its middle."""
        left, top, right, bottom = (float(side) for side in box)
        width, height = (right - left) * PADDING, (bottom - top) * PADDING
        scale = min(size[0] / max(width, 1.0), size[1] / max(height, 1.0))
        x, y = (left + right) / 2, (top + bottom) / 2
        return View(scale, (size[0] / 2 - x * scale, size[1] / 2 - y * scale), size)

    @staticmethod
    def letterbox(image: Picture, size: tuple[int, int]) -> "View":
        """The whole picture in the upper left, the rest filled with grey."""
        height, width = image.shape[:2]
        return View(min(size[0] / width, size[1] / height), (0.0, 0.0), size, LETTERBOX_GREY)

    def cut(self, image: Picture) -> Picture:
        """(height, width, 3)"""
        affine = np.array([[self.scale, 0, self.offset[0]], [0, self.scale, self.offset[1]]])
        fill = (self.fill,) * 3
        cut = cv2.warpAffine(image, affine, self.size, flags=cv2.INTER_LINEAR, borderValue=fill)
        return np.asarray(cut, np.uint8)

    def to_image(self, xy: Float32) -> Float32:
        """Input px (..., 2) -> picture px."""
        return ((xy - np.array(self.offset)) / self.scale).astype(np.float32)
