"""The part of an image that a network sees, and the transform back to image pixels."""

from dataclasses import dataclass

import cv2
import numpy as np

from model.keypoints.sequences import Float32, Image

PADDING = 1.25
"""Scale of a person's box for a top-down network, as MMPose trains."""
LETTERBOX_GREY = 114
"""Fill beside an image of another aspect ratio, as YOLOX, RTMDet and RTMO train."""


@dataclass(frozen=True)
class View:
    """A network's input of `size` (width, height) px, where input = image * scale + offset."""

    scale: float
    offset: tuple[float, float]
    size: tuple[int, int]
    fill: int = 0

    @staticmethod
    def around(box: Float32, size: tuple[int, int]) -> "View":
        """A person's box (left, top, right, bottom), padded, and extended about its centre to the
        input's aspect ratio."""
        left, top, right, bottom = (float(side) for side in box)
        width, height = (right - left) * PADDING, (bottom - top) * PADDING
        scale = min(size[0] / max(width, 1.0), size[1] / max(height, 1.0))
        x, y = (left + right) / 2, (top + bottom) / 2
        return View(scale, (size[0] / 2 - x * scale, size[1] / 2 - y * scale), size)

    @staticmethod
    def letterbox(image: Image, size: tuple[int, int]) -> "View":
        """The whole image at the top left, the rest grey."""
        height, width = image.shape[:2]
        return View(min(size[0] / width, size[1] / height), (0.0, 0.0), size, LETTERBOX_GREY)

    def cut(self, image: Image) -> Image:
        """(height, width, 3)"""
        affine = np.array([[self.scale, 0, self.offset[0]], [0, self.scale, self.offset[1]]])
        fill = (self.fill,) * 3
        cut = cv2.warpAffine(image, affine, self.size, flags=cv2.INTER_LINEAR, borderValue=fill)
        return np.asarray(cut, np.uint8)

    def to_image(self, xy: Float32) -> Float32:
        """Input px (..., 2) -> image px."""
        return ((xy - np.array(self.offset)) / self.scale).astype(np.float32)
