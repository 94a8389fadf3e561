"""The overlay: the video with everyone's 2D skeletons, and their 3D poses beside it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.keypoints.skeleton import H36M17
from model.rendering.mp4 import SourceVideo, open_mp4
from model.rendering.strokes import (
    BADGE_PX,
    PAPER,
    RgbImage,
    colours_of,
    draw_badge,
    draw_line,
    draw_skeleton,
    draw_text,
)
from model.rendering.view3d import GRID_STEP_M, View3D
from model.video.pipeline import Progress
from model.video.reader import Frame, Video, open_video
from model.video.results import PersonMotion, VideoResult

MAX_SIZE_PX = (1280, 720)
MIN_HEIGHT_PX = 360
BELOW_HEIGHT_PX = 540
"""Height of the 3D view below a wide, flat video."""
BONE_SHARE = 1 / 110
"""Width of a bone as a share of the image height."""
VISIBLE_SCORE = 0.1
LEGEND_PX = 170
LEGEND_ROWS = 3

_HEAD = H36M17.index("head")
_THORAX = H36M17.index("thorax")
_CAPTION = (170, 178, 192)


def render_overlay(
    video_path: Path, result: VideoResult, out: Path, progress: Progress | None = None
) -> list[str]:
    """Write an MP4 that browsers play: the video with the 2D skeletons, beside or below it the 3D
    poses from an orbiting camera, and the video's audio. `out` appears only when it is complete.

    Returns warnings about audio that was left out. Raises as open_video does.
    """
    layout = Layout.of(result.video.width, result.video.height)
    view3d = View3D(result.in_space("root"))
    warnings: list[str] = []
    with (
        open_video(video_path) as video,
        open_mp4(out, layout.size, _source(video_path, video), warnings) as mp4,
    ):
        for frame in video.frames(size=(result.video.width, result.video.height)):
            image = _with_skeletons(frame, result, layout.video)
            view = view3d.draw(frame.index, frame.time_s, layout.view)
            _draw_captions(view, result.people, frame)
            mp4.write(np.concatenate([image, view], axis=layout.axis), frame.time_s)
            if progress:
                progress("drawing", frame.index + 1, max(result.video.frames, frame.index + 1))
    return warnings


def _source(path: Path, video: Video) -> SourceVideo:
    return SourceVideo(path, video.start_s, 1 / video.info.fps)


@dataclass(frozen=True)
class Layout:
    """(width, height) px of the video and of the 3D view, even as video encoders need them. The
    view is a square to the right of the video, or below it if the video is too flat for that."""

    video: tuple[int, int]
    view: tuple[int, int]

    @classmethod
    def of(cls, width: int, height: int) -> "Layout":
        scale = min(MAX_SIZE_PX[0] / width, MAX_SIZE_PX[1] / height, max(1, MIN_HEIGHT_PX / height))
        video = max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))
        beside = video[1] >= MIN_HEIGHT_PX
        return cls(video, (video[1], video[1]) if beside else (video[0], BELOW_HEIGHT_PX))

    @property
    def axis(self) -> int:
        """The axis of images (H, W, 3) along which the two are joined."""
        return 1 if self.view[1] == self.video[1] else 0

    @property
    def size(self) -> tuple[int, int]:
        (width, height), (right, below) = self.video, self.view
        return (width + right, height) if self.axis else (width, height + below)


def _with_skeletons(frame: Frame, result: VideoResult, size: tuple[int, int]) -> RgbImage:
    """The frame's image, scaled to `size`, with the skeletons of the people in it."""
    import cv2  # imported where needed: it loads slowly

    scale = size[1] / frame.image.shape[0]
    # averaging areas takes longer and is only needed where pixels would be skipped
    filtering = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    image = np.asarray(cv2.resize(frame.image, size, interpolation=filtering), np.uint8)
    for person in result.people:
        row = person.row(frame.index)
        if row is not None:
            _draw_person(image, person, row, scale)
    return image


def _draw_person(image: RgbImage, person: PersonMotion, row: int, scale: float) -> None:
    xy = person.keypoints.xy[row] * scale
    visible = person.keypoints.confidence[row] >= VISIBLE_SCORE
    colours = colours_of(person.id)
    draw_skeleton(image, xy, colours, image.shape[0] * BONE_SHARE, visible=visible)
    if visible[_HEAD] and visible[_THORAX]:
        above = xy[_HEAD] + 0.6 * (xy[_HEAD] - xy[_THORAX])
        if (xy[_HEAD] > 0).all() and (xy[_HEAD] < image.shape[1::-1]).all():
            above = np.clip(above, BADGE_PX, np.array(image.shape[1::-1]) - BADGE_PX)
        draw_badge(image, str(person.id), above, colours.middle)


def _draw_captions(view: RgbImage, people: tuple[PersonMotion, ...], frame: Frame) -> None:
    """Time, frame and scale at the top; the colours of people and sides at the bottom."""
    height, width = view.shape[:2]
    x = draw_text(view, f"{frame.time_s:.2f} s", (16, 24), 20, _CAPTION)
    draw_text(view, f"frame {frame.index}", (x + 18, 24), 20, _CAPTION)
    draw_text(view, f"grid {GRID_STEP_M:g} m", (width - 96, 24), 20, _CAPTION)
    columns = max(1, width // LEGEND_PX)
    for place, person in enumerate(people[: LEGEND_ROWS * columns]):
        row, column = divmod(place, columns)
        at = (16 + column * LEGEND_PX, height - 24 - row * 30)
        _draw_legend(view, person.id, at)


def _draw_legend(view: RgbImage, person_id: int, at: tuple[float, float]) -> None:
    colours = colours_of(person_id)
    x, y = at
    draw_badge(view, str(person_id), np.array([x + BADGE_PX / 2, y]), colours.middle)
    x += BADGE_PX + 10
    for side, colour in (("left", colours.left), ("right", colours.right)):
        draw_line(view, np.array([x, y]), np.array([x + 14, y]), colour, 6)
        x = draw_text(view, side, (x + 22, y), 18, PAPER) + 12
