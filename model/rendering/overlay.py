"""A video of a result: the film with everybody's 2D skeleton, and their 3D poses beside it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.keypoints.skeleton import H36M17
from model.rendering.mp4 import Original, written_film
from model.rendering.strokes import (
    BADGE_PX,
    PAPER,
    Picture,
    badge,
    colours_of,
    draw_skeleton,
    stroke,
    write,
)
from model.rendering.view3d import GRID_STEP_M, Scene
from model.video.pipeline import Progress
from model.video.reader import Frame, Video, open_video
from model.video.results import PersonMotion, VideoResult

MAX_FILM_PX = (1280, 720)
MIN_HEIGHT_PX = 360
BELOW_HEIGHT_PX = 540
"""Of the 3D view below a film that is wide and flat."""
BONE_SHARE = 1 / 110
"""Width of a bone, of the picture's height."""
VISIBLE_SCORE = 0.1
LEGEND_PX = 170
LEGEND_ROWS = 3

_HEAD = H36M17.index("head")
_THORAX = H36M17.index("thorax")
_CAPTION = (170, 178, 192)


def render_overlay(
    video_path: Path, result: VideoResult, out: Path, progress: Progress | None = None
) -> list[str]:
    """Write an MP4 that browsers play: the film with the 2D skeletons, beside or below it the 3D
    poses, seen by a camera that goes around them, and the film's sound. It is complete or not there
    at all.

    Gives warnings, where sound had to be left out. Raises as open_video does.
    """
    layout = Layout.of(result.video.width, result.video.height)
    scene = Scene(result.in_space("root"))
    warnings: list[str] = []
    with (
        open_video(video_path) as video,
        written_film(out, layout.size, _original(video_path, video), warnings) as film,
    ):
        for frame in video.frames():
            picture = _film(frame, result, layout.film)
            stage = scene.draw(frame.index, frame.time_s, layout.stage)
            _write_captions(stage, result.people, frame)
            film.write(np.concatenate([picture, stage], axis=layout.axis), frame.time_s)
            if progress:
                progress("drawing", frame.index + 1, max(result.video.frames, frame.index + 1))
    return warnings


def _original(path: Path, video: Video) -> Original:
    return Original(path, video.start_s, 1 / video.info.fps)


@dataclass(frozen=True)
class Layout:
    """Widths and heights, px, of the film and the 3D view: even, as video encoders want them. The
    view is a square on the right of the film, or below one that would be too flat for that."""

    film: tuple[int, int]
    stage: tuple[int, int]

    @classmethod
    def of(cls, width: int, height: int) -> "Layout":
        scale = min(MAX_FILM_PX[0] / width, MAX_FILM_PX[1] / height, max(1, MIN_HEIGHT_PX / height))
        film = max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))
        beside = film[1] >= MIN_HEIGHT_PX
        return cls(film, (film[1], film[1]) if beside else (film[0], BELOW_HEIGHT_PX))

    @property
    def axis(self) -> int:
        """Of pictures (H, W, 3), along which the two are joined."""
        return 1 if self.stage[1] == self.film[1] else 0

    @property
    def size(self) -> tuple[int, int]:
        (width, height), (right, below) = self.film, self.stage
        return (width + right, height) if self.axis else (width, height + below)


def _film(frame: Frame, result: VideoResult, size: tuple[int, int]) -> Picture:
    """The frame with the skeletons of the people in it."""
    import cv2  # here: only those who draw wait for it

    scale = size[1] / frame.image.shape[0]
    # averaging areas is only worth its time where pixels would be left out
    filtering = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    picture = np.asarray(cv2.resize(frame.image, size, interpolation=filtering), np.uint8)
    for person in result.people:
        row = person.row(frame.index)
        if row is not None:
            _draw_person(picture, person, row, scale)
    return picture


def _draw_person(picture: Picture, person: PersonMotion, row: int, scale: float) -> None:
    xy = person.keypoints.xy[row] * scale
    shown = person.keypoints.confidence[row] >= VISIBLE_SCORE
    colours = colours_of(person.id)
    draw_skeleton(picture, xy, colours, picture.shape[0] * BONE_SHARE, shown=shown)
    if shown[_HEAD] and shown[_THORAX]:
        above = xy[_HEAD] + 0.6 * (xy[_HEAD] - xy[_THORAX])
        if (xy[_HEAD] > 0).all() and (xy[_HEAD] < picture.shape[1::-1]).all():
            above = np.clip(above, BADGE_PX, np.array(picture.shape[1::-1]) - BADGE_PX)
        badge(picture, str(person.id), above, colours.middle)


def _write_captions(stage: Picture, people: tuple[PersonMotion, ...], frame: Frame) -> None:
    """Time, frame and scale above, and below whose colours are whose, and which side is which."""
    height, width = stage.shape[:2]
    x = write(stage, f"{frame.time_s:.2f} s", (16, 24), 20, _CAPTION)
    write(stage, f"frame {frame.index}", (x + 18, 24), 20, _CAPTION)
    write(stage, f"grid {GRID_STEP_M:g} m", (width - 96, 24), 20, _CAPTION)
    columns = max(1, width // LEGEND_PX)
    for place, person in enumerate(people[: LEGEND_ROWS * columns]):
        row, column = divmod(place, columns)
        at = (16 + column * LEGEND_PX, height - 24 - row * 30)
        _write_legend(stage, person.id, at)


def _write_legend(stage: Picture, person_id: int, at: tuple[float, float]) -> None:
    colours = colours_of(person_id)
    x, y = at
    badge(stage, str(person_id), np.array([x + BADGE_PX / 2, y]), colours.middle)
    x += BADGE_PX + 10
    for side, colour in (("left", colours.left), ("right", colours.right)):
        stroke(stage, np.array([x, y]), np.array([x + 14, y]), colour, 6)
        x = write(stage, side, (x + 22, y), 18, PAPER) + 12
