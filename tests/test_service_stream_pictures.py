"""WS /stream with pictures: a real clip with two people, through a real server."""

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import numpy as np
import pytest
from conftest import connected, opened, receive, rest, send
from numpy.typing import NDArray
from PIL import Image

from model import KeypointSequence, Lifter, Tracker, open_detector, open_video
from service.errors import NotUnderstood, TooLarge
from service.live.pictures import Camera, Watcher, read_jpeg

CLIP = Path(__file__).parent / "clips" / "two_people.mp4"
FRAMES = 25


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    with open_video(CLIP) as video:
        return [jpeg(frame.image) for frame, _ in zip(video.frames(), range(FRAMES), strict=False)]


def jpeg(picture: NDArray[np.uint8], **options: object) -> bytes:
    held = io.BytesIO()
    Image.fromarray(picture).save(held, "JPEG", quality=92, **options)
    return held.getvalue()


def seen_offline(jpegs: list[bytes]) -> Iterator[KeypointSequence]:
    """Both people over the frames in which the tracker is sure of them."""
    tracker, rows = Tracker(30, max_people=4), {}
    with closing(open_detector("mediapipe", 4)) as detector:
        for frame, data in enumerate(jpegs):
            picture = np.asarray(Image.open(io.BytesIO(data)))
            for id, person in tracker.update(detector.detect(picture, frame / 30)):
                rows.setdefault(id, []).append(person)
        size = (picture.shape[1], picture.shape[0])
        for people in rows.values():
            xy = np.stack([person.xy for person in people])
            score = np.stack([person.score for person in people])
            yield KeypointSequence(xy, score, size, 30.0, detector.skeleton).to_h36m17()
