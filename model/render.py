"""A video of a result: the film with everybody's 2D skeleton, and their 3D poses beside it."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from model.drawing import BADGE_PX, PAPER, Picture, badge, colours_of, draw_skeleton, stroke, write
from model.frames import Frame, open_video
from model.pipeline import PersonMotion, Progress, VideoResult
from model.scene import Scene
from model.skeleton import H36M17

MAX_FILM_PX = (1280, 720)
MIN_HEIGHT_PX = 360
BONE_SHARE = 1 / 110
"""Width of a bone, of the picture's height."""
VISIBLE_SCORE = 0.1
TIME_BASE = Fraction(1, 90_000)
"""MPEG's clock: fine enough for the true times of any frame rate."""
ENCODING = {"preset": "veryfast", "crf": "21"}
LEGEND_PX = 170
LEGEND_ROWS = 3

_HEAD = H36M17.index("head")
_THORAX = H36M17.index("thorax")
_CAPTION = (170, 178, 192)

FrameWriter = Callable[[Picture, float], None]


def render_overlay(
    video_path: Path, result: VideoResult, out: Path, progress: Progress | None = None
) -> None:
    """Write an MP4 (H.264) that browsers play: on the left the film with the 2D skeletons, on the
    right the 3D poses. It is complete or not there at all. Raises as open_video does.
    """
    width, height = film_size(result.video.width, result.video.height)
    scene = Scene(result.people, result.video.width)
    with (
        open_video(video_path) as video,
        _film_writer(out, (width + height, height)) as write_frame,
    ):
        for frame in video.frames():
            film = _film(frame, result, (width, height))
            stage = scene.draw(frame.index, frame.time_s, (height, height))
            _write_captions(stage, result.people, frame.time_s)
            write_frame(np.concatenate([film, stage], axis=1), frame.time_s)
            if progress:
                progress("drawing", frame.index + 1, max(result.video.frames, frame.index + 1))


def film_size(width: int, height: int) -> tuple[int, int]:
    """The left side's width and height, px: at most 1280 x 720, even, as H.264 wants them."""
    scale = min(MAX_FILM_PX[0] / width, MAX_FILM_PX[1] / height, max(1, MIN_HEIGHT_PX / height))
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))


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


def _write_captions(stage: Picture, people: tuple[PersonMotion, ...], time_s: float) -> None:
    """The time above, and below whose colours are whose, and which side is which."""
    height, width = stage.shape[:2]
    write(stage, f"{time_s:.2f} s", (16, 24), 20, _CAPTION)
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


@contextmanager
def _film_writer(out: Path, size: tuple[int, int]) -> Iterator[FrameWriter]:
    """Takes pictures with their times; what it wrote becomes `out` when all went well."""
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", options=ENCODING)
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            stream.time_base = stream.codec_context.time_base = TIME_BASE
            yield _Encoder(container, stream).write
            container.mux(stream.encode(None))
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)


class _Encoder:
    """Pictures with times -> packets in the container."""

    def __init__(self, container: OutputContainer, stream: VideoStream):
        self._container = container
        self._stream = stream
        self._last_tick = -1

    def write(self, picture: Picture, time_s: float) -> None:
        frame = VideoFrame.from_ndarray(picture, format="rgb24")
        self._last_tick = max(round(time_s / TIME_BASE), self._last_tick + 1)
        frame.pts, frame.time_base = self._last_tick, TIME_BASE
        self._container.mux(self._stream.encode(frame))
