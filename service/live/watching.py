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
class ImageOptions:
    """How a stream's images are processed; image_size None: that of the first image."""

    fps: float
    image_size: tuple[int, int] | None
    detector: str
    device: str
    max_people: int
    max_pixels: int
    repair: bool = False


class Watcher:
    """Decodes images and detects people, in any thread, one image at a time. The first image opens
    the detector."""

    def __init__(self, options: ImageOptions):
        self._options = options
        self._size = options.image_size
        self._people: PeopleWatcher | None = None
        # the watcher may be closed while an image is being processed
        self._lock = threading.Lock()
        self._closed = False

    def detect(self, jpeg: bytes, frame: int) -> tuple[range, Mapping[PersonId, KeypointSequence]]:
        """PeopleWatcher.detect of a JPEG image; raises NotUnderstood, TooLarge, InvalidInput and
        DetectorUnavailable."""
        with self._lock:
            if self._closed:
                raise NotReady("the stream ended before this image was processed")
            image = read_jpeg(jpeg, self._options.max_pixels)
            self._check_size(image)
            if self._people is None:
                self._people = self._open()
            frames, people = self._people.detect(image, frame)
            return frames, {id: people[id] for id in people}

    def close(self) -> None:
        """Close the detector, after the image being processed."""
        with self._lock:
            self._closed = True
            if self._people is not None:
                self._people.close()
                self._people = None

    def _open(self) -> PeopleWatcher:
        options = self._options
        detector = open_detector(options.detector, options.max_people, options.device)
        return PeopleWatcher(detector, options.fps, options.max_people, repair=options.repair)

    def _check_size(self, image: NDArray[np.uint8]) -> None:
        size = (image.shape[1], image.shape[0])
        self._size = self._size or size
        if size != self._size:
            raise InvalidInput(
                f"all images must be {self._size[0]}x{self._size[1]}, got {size[0]}x{size[1]}",
                ("image_size",),
            )
