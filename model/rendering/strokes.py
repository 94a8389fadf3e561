"""Skeletons and words on a picture: colours, strokes, text. Pictures are uint8 RGB (H, W, 3)."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from model.keypoints.skeleton import H36M17

Picture = NDArray[np.uint8]
Points = NDArray[np.float32] | NDArray[np.float64]
Colour = tuple[int, int, int]

BACKGROUND = (38, 44, 56)
INK = (16, 19, 26)
PAPER = (235, 238, 243)


@dataclass(frozen=True)
class Colours:
    """One person's hue: light on their left, deep on their right, between them in the middle."""

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
    """The colours of person 1, 2, ..; they begin anew after the sixth."""
    return PALETTE[(person_id - 1) % len(PALETTE)]


def draw_skeleton(
    picture: Picture,
    points: Points,
    colours: Colours,
    width_px: float,
    *,
    shown: NDArray[np.bool_] | None = None,
    depth: Points | None = None,
) -> None:
    """H36M-17 at points (17, 2) px; `shown` (17,). With depth (17,), m, bones that are farther away
    come first, and are thinner and darker."""
    bones = [b for b in H36M17.bones if shown is None or (shown[b[0]] and shown[b[1]])]
    if depth is not None:
        bones.sort(key=lambda bone: -float(depth[bone[0]] + depth[bone[1]]))
    widths, dim = _by_depth(depth, width_px)
    for parent, child in bones:
        colour = colours.of(H36M17.joints[child])
        ends = points[parent], points[child]
        far = float(dim[parent] + dim[child]) / 2
        bone_px = float(widths[parent] + widths[child]) / 2
        stroke(picture, *ends, INK, bone_px * 1.6)
        stroke(picture, *ends, blend(colour, BACKGROUND, far), bone_px)
        for joint, end in zip((parent, child), ends, strict=True):
            joint_colour = blend(colours.of(H36M17.joints[joint]), BACKGROUND, float(dim[joint]))
            dot(picture, end, float(widths[joint]) * 0.78, blend(joint_colour, INK, 0.6))
            dot(picture, end, float(widths[joint]) * 0.6, blend(joint_colour, PAPER, 0.25))


def _by_depth(depth: Points | None, width_px: float) -> tuple[Points, Points]:
    """Each joint's width, px, and how much of the background it takes: (17,) both."""
    if depth is None:
        return np.full(len(H36M17.joints), width_px), np.zeros(len(H36M17.joints))
    behind = np.clip((depth - depth.min()) / DIM_OVER_M, 0, 1)
    return width_px * depth.mean() / depth, MAX_DIM * behind


def blend(colour: Colour, other: Colour, share: float) -> Colour:
    """From the one to the other: share 0..1."""
    r, g, b = (round(c + (o - c) * share) for c, o in zip(colour, other, strict=True))
    return r, g, b


def darken(picture: Picture, mask: NDArray[np.uint8], soft_px: float) -> None:
    """Take light away where mask (H, W) is bright, 255 all of it, with soft borders."""
    import cv2

    soft = cv2.GaussianBlur(mask, (0, 0), max(soft_px, 0.5))
    kept = cv2.merge([255 - np.asarray(soft, np.uint8)] * 3)
    cv2.multiply(picture, kept, picture, scale=1 / 255)


def stroke(
    picture: Picture,
    start: Points,
    end: Points,
    colour: Colour,
    width_px: float,
) -> None:
    """A straight line with round ends, antialiased."""
    import cv2  # here and below: only those who draw wait for it

    thickness = max(1, round(width_px))
    cv2.line(picture, _fixed(start), _fixed(end), colour, thickness, cv2.LINE_AA, _FRACTION_BITS)


def hairlines(picture: Picture, lines: Points, colour: Colour) -> None:
    """Many thin lines of one colour: (N, 2, 2) px, their two ends."""
    import cv2

    fixed = np.round(np.clip(lines, -_FAR_PX, _FAR_PX) * 2**_FRACTION_BITS).astype(np.int32)
    cv2.polylines(picture, list(fixed), False, colour, 1, cv2.LINE_AA, _FRACTION_BITS)


def dot(picture: Picture, at: Points, radius_px: float, colour: Colour) -> None:
    import cv2

    radius = round(radius_px * 2**_FRACTION_BITS)
    cv2.circle(picture, _fixed(at), radius, colour, cv2.FILLED, cv2.LINE_AA, _FRACTION_BITS)


def write(
    picture: Picture, text: str, at: tuple[float, float], height_px: int, colour: Colour = PAPER
) -> int:
    """Text whose middle line starts at `at` (x, y); gives the x where it ends."""
    mask = _letters(text, height_px)
    x, y = round(at[0]), round(at[1] - mask.shape[0] / 2)
    top, left = max(0, -y), max(0, -x)
    area = picture[max(0, y) : y + mask.shape[0], max(0, x) : x + mask.shape[1]]
    share = mask[top : top + area.shape[0], left : left + area.shape[1], None]
    if share.size:
        area[:] = np.round(area + (np.array(colour) - area) * share)
    return x + mask.shape[1]


def badge(picture: Picture, text: str, at: Points, colour: Colour) -> None:
    """A small filled circle around a word or number, its middle at `at`."""
    if not ((at > -BADGE_PX) & (at < np.array(picture.shape[1::-1]) + BADGE_PX)).all():
        return
    dot(picture, at, BADGE_PX * 0.62, INK)
    dot(picture, at, BADGE_PX * 0.52, colour)
    width = _letters(text, BADGE_PX).shape[1]
    write(picture, text, (at[0] - width / 2, at[1]), BADGE_PX, INK)


BADGE_PX = 24
DIM_OVER_M = 1.2
MAX_DIM = 0.45
"""What lies DIM_OVER_M behind a body's nearest joint is so much nearer to the background's
colour."""

_FRACTION_BITS = 4
_FAR_PX = 20000
"""OpenCV's coordinates are 32 bits with the fraction, and its lines are clipped there."""


def _fixed(point: Points) -> tuple[int, int]:
    x, y = (min(max(float(value), -_FAR_PX), _FAR_PX) for value in point)
    return round(x * 2**_FRACTION_BITS), round(y * 2**_FRACTION_BITS)


@lru_cache(maxsize=256)
def _letters(text: str, height_px: int) -> NDArray[np.float64]:
    """Coverage 0..1 of the text, cut to its width, in a band `height_px` high."""
    font = ImageFont.load_default(size=height_px * 0.75)
    left, _, right, _ = font.getbbox(text)
    image = Image.new("L", (max(1, round(right - left)), height_px))
    ImageDraw.Draw(image).text((-left, height_px / 2), text, fill=255, font=font, anchor="lm")
    return np.asarray(image, np.float64) / 255
