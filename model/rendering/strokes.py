"""Drawing on an image (H, W, 3) uint8 RGB: colours, strokes, skeletons, text."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from model.keypoints.skeleton import H36M17

RgbImage = NDArray[np.uint8]
Points = NDArray[np.float32] | NDArray[np.float64]
Colour = tuple[int, int, int]

BACKGROUND = (38, 44, 56)
INK = (16, 19, 26)
PAPER = (235, 238, 243)


@dataclass(frozen=True)
class Colours:
    """One person's hue: light on their left, dark on their right, medium in the middle."""

    left: Colour
    middle: Colour
    right: Colour

    def of(self, joint: str) -> Colour:
        if joint.startswith("left_"):
            return self.left
        return self.right if joint.startswith("right_") else self.middle


PALETTE = (
    Colours((255, 214, 150), (255, 166, 67), (232, 93, 4)),
    Colours((168, 222, 255), (77, 171, 247), (20, 104, 222)),
    Colours((196, 246, 178), (105, 200, 108), (22, 138, 65)),
    Colours((244, 196, 255), (204, 110, 230), (142, 36, 170)),
    Colours((255, 196, 203), (250, 105, 125), (204, 16, 60)),
    Colours((170, 245, 236), (56, 200, 190), (0, 128, 128)),
)


def colours_of(person_id: int) -> Colours:
    """The colours of person 1, 2, ...; they repeat after the sixth."""
    return PALETTE[(person_id - 1) % len(PALETTE)]


def draw_skeleton(
    image: RgbImage,
    points: Points,
    colours: Colours,
    width_px: float,
    *,
    visible: NDArray[np.bool_] | None = None,
    depth: Points | None = None,
) -> None:
    """H36M-17 at points (17, 2) px; bones with an end not `visible` (17,) are left out. With depth
    (17,), m, farther bones are drawn first, thinner and darker."""
    bones = [b for b in H36M17.bones if visible is None or (visible[b[0]] and visible[b[1]])]
    if depth is not None:
        bones.sort(key=lambda bone: -float(depth[bone[0]] + depth[bone[1]]))
    widths, dim = _widths_and_dimming(depth, width_px)
    for parent, child in bones:
        colour = colours.of(H36M17.joints[child])
        ends = points[parent], points[child]
        far = float(dim[parent] + dim[child]) / 2
        bone_px = float(widths[parent] + widths[child]) / 2
        draw_line(image, *ends, INK, bone_px * 1.6)
        draw_line(image, *ends, blend(colour, BACKGROUND, far), bone_px)
        for joint, end in zip((parent, child), ends, strict=True):
            joint_colour = blend(colours.of(H36M17.joints[joint]), BACKGROUND, float(dim[joint]))
            draw_dot(image, end, float(widths[joint]) * 0.78, blend(joint_colour, INK, 0.6))
            draw_dot(image, end, float(widths[joint]) * 0.6, blend(joint_colour, PAPER, 0.25))


def _widths_and_dimming(depth: Points | None, width_px: float) -> tuple[Points, Points]:
    """For each joint its width in px and the share of background colour mixed in: (17,) both."""
    if depth is None:
        return np.full(len(H36M17.joints), width_px), np.zeros(len(H36M17.joints))
    behind = np.clip((depth - depth.min()) / DIM_OVER_M, 0, 1)
    return width_px * depth.mean() / depth, MAX_DIM * behind


def blend(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with a share 0..1 of `other` mixed in."""
    r, g, b = (round(c + (o - c) * share) for c, o in zip(colour, other, strict=True))
    return r, g, b


def darken(image: RgbImage, mask: NDArray[np.uint8], soft_px: float) -> None:
    """Darken where mask (H, W) is bright, to black at 255; soft_px blurs the borders."""
    import cv2  # imported where needed: it loads slowly

    soft = cv2.GaussianBlur(mask, (0, 0), max(soft_px, 0.5))
    light = cv2.merge([255 - np.asarray(soft, np.uint8)] * 3)
    cv2.multiply(image, light, image, scale=1 / 255)


def draw_line(
    image: RgbImage,
    start: Points,
    end: Points,
    colour: Colour,
    width_px: float,
) -> None:
    """A straight antialiased line with round ends."""
    import cv2

    thickness = max(1, round(width_px))
    cv2.line(image, _fixed(start), _fixed(end), colour, thickness, cv2.LINE_AA, _FRACTION_BITS)


def draw_hairlines(image: RgbImage, lines: Points, colour: Colour) -> None:
    """Lines 1 px wide; lines (N, 2, 2) px holds their two ends."""
    import cv2

    fixed = np.round(np.clip(lines, -_FAR_PX, _FAR_PX) * 2**_FRACTION_BITS).astype(np.int32)
    cv2.polylines(image, list(fixed), False, colour, 1, cv2.LINE_AA, _FRACTION_BITS)


def draw_dot(image: RgbImage, at: Points, radius_px: float, colour: Colour) -> None:
    import cv2

    radius = round(radius_px * 2**_FRACTION_BITS)
    cv2.circle(image, _fixed(at), radius, colour, cv2.FILLED, cv2.LINE_AA, _FRACTION_BITS)


def draw_text(
    image: RgbImage, text: str, at: tuple[float, float], height_px: int, colour: Colour = PAPER
) -> int:
    """Text whose left end is centred vertically on `at` (x, y); returns the x of its right end."""
    mask = _text_mask(text, height_px)
    x, y = round(at[0]), round(at[1] - mask.shape[0] / 2)
    top, left = max(0, -y), max(0, -x)
    area = image[max(0, y) : y + mask.shape[0], max(0, x) : x + mask.shape[1]]
    share = mask[top : top + area.shape[0], left : left + area.shape[1], None]
    if share.size:
        area[:] = np.round(area + (np.array(colour) - area) * share)
    return x + mask.shape[1]


def draw_badge(image: RgbImage, text: str, at: Points, colour: Colour) -> None:
    """A filled circle with a short text in it, centred on `at`."""
    if not ((at > -BADGE_PX) & (at < np.array(image.shape[1::-1]) + BADGE_PX)).all():
        return
    draw_dot(image, at, BADGE_PX * 0.62, INK)
    draw_dot(image, at, BADGE_PX * 0.52, colour)
    width = _text_mask(text, BADGE_PX).shape[1]
    draw_text(image, text, (at[0] - width / 2, at[1]), BADGE_PX, INK)


BADGE_PX = 24
DIM_OVER_M = 1.2
MAX_DIM = 0.45
"""Share of background colour in a joint DIM_OVER_M or more behind the person's nearest joint."""

_FRACTION_BITS = 4
_FAR_PX = 20000
"""Coordinates are clipped here: OpenCV's have 32 bits, fraction included."""


def _fixed(point: Points) -> tuple[int, int]:
    x, y = (min(max(float(value), -_FAR_PX), _FAR_PX) for value in point)
    return round(x * 2**_FRACTION_BITS), round(y * 2**_FRACTION_BITS)


@lru_cache(maxsize=256)
def _text_mask(text: str, height_px: int) -> NDArray[np.float64]:
    """Coverage 0..1 of the text: (height_px, its width)."""
    font = ImageFont.load_default(size=height_px * 0.75)
    left, _, right, _ = font.getbbox(text)
    image = Image.new("L", (max(1, round(right - left)), height_px))
    ImageDraw.Draw(image).text((-left, height_px / 2), text, fill=255, font=font, anchor="lm")
    return np.asarray(image, np.float64) / 255
