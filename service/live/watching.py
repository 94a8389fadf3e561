"""The images of one live stream -> the people in them, one image at a time."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model import InvalidInput, KeypointSequence, PeopleWatcher, open_detector
from service.errors import NotReady
from service.live.jpeg import read_jpeg
from service.live.session import PersonId


@dataclass(frozen=True)
class Camera:
    """What is known of a stream's images before they arrive; image_size None: that of the first."""

    fps: float
    image_size: tuple[int, int] | None
    detector: str
    device: str
    max_people: int
    max_pixels: int
    repair: bool = False


class Watcher:
    """Decodes images and finds the people in them, in any threads, one image at a time. Opens its
    detector for the first."""

    def __init__(self, camera: Camera):
        self._camera = camera
        self._size = camera.image_size
        self._people: PeopleWatcher | None = None
        # a client that leaves closes the watcher, perhaps while it is at work
        self._lock = threading.Lock()
        self._closed = False

    def look(self, jpeg: bytes, frame: int) -> tuple[range, Mapping[PersonId, KeypointSequence]]:
        """The frames since the last image, and the people by identity: over all these frames, or,
        if new, in the last alone. Raises NotUnderstood, TooLarge, InvalidInput and
        DetectorUnavailable."""
        with self._lock:
            if self._closed:
                raise NotReady("the stream ended before this image was processed")
            image = read_jpeg(jpeg, self._camera.max_pixels)
            self._check_size(image)
            if self._people is None:
                self._people = self._open()
            frames, people = self._people.detect(image, frame)
            return frames, {id: people[id] for id in people}

    def close(self) -> None:
        """Blocks until the image being processed is done."""
        with self._lock:
            self._closed = True
            if self._people is not None:
                self._people.close()
                self._people = None

    def _open(self) -> PeopleWatcher:
        camera = self._camera
        detector = open_detector(camera.detector, camera.max_people, camera.device)
        return PeopleWatcher(detector, camera.fps, camera.max_people, repair=camera.repair)

    def _check_size(self, image: NDArray[np.uint8]) -> None:
        size = (image.shape[1], image.shape[0])
        self._size = self._size or size
        if size != self._size:
            raise InvalidInput(
                f"all images must be {self._size[0]}x{self._size[1]}, got {size[0]}x{size[1]}",
                ("image_size",),
            )
