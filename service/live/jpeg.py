"""Pictures of one live stream -> who is in them: decoder, detector and tracker."""

import io
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from model import (
    H36M17,
    MAX_BRIDGED_S,
    MAX_COORDINATE_PX,
    MAX_SIDE_PX,
    Detector,
    InvalidInput,
    KeypointSequence,
    Person,
    Skeleton,
    TooLarge,
    Tracker,
    open_detector,
)
from service.errors import NotReady, NotUnderstood
from service.live.repairs import SwapRepairs
from service.live.session import PersonId

MAX_SCANS = 100
"""A progressive JPEG has some ten. Each costs up to 25 ms, and may take no more than 80 bytes."""
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
"""Of a part of a JPEG that says its length, or of its end (ITU-T T.81, table B.1)."""
_SCAN, _END = b"\xda", b"\xd9"
LATEST_S = 1e9
"""Detectors count in whole microseconds."""

Rows = NDArray[np.float32]
Seen = Mapping[PersonId, KeypointSequence]


@dataclass(frozen=True)
class Camera:
    """What is known of the pictures before they come; image_size is None for that of the first."""

    fps: float
    image_size: tuple[int, int] | None
    detector: str
    device: str
    max_people: int
    max_pixels: int
    repair: bool = False


class Watcher:
    """Looks at pictures, one after another, in whatever threads. Opens its detector for the first.

    Frames in between may be left out: where a person is seen before and after, their joints move on
    straight lines in time.
    """

    def __init__(self, camera: Camera):
        self._camera = camera
        self._size = camera.image_size
        self._tracker = Tracker(camera.fps, camera.max_people)
        self._detector: Detector | None = None
        self._frame = -1
        self._before: dict[PersonId, Rows] = {}
        self._repairs = SwapRepairs() if camera.repair else None
        # whoever leaves closes the watcher, perhaps while it looks, or is about to
        self._lock = threading.Lock()
        self._closed = False

    def look(self, jpeg: bytes, frame: int) -> tuple[range, Seen]:
        """The frames since the last look, and who is seen now, by identity: over all these frames,
        or, who was not seen before, in the last alone. Raises NotUnderstood, TooLarge, InvalidInput
        and DetectorUnavailable."""
        with self._lock:
            if self._closed:
                raise NotReady("the stream ended before this picture was looked at")
            picture = read_jpeg(jpeg, self._camera.max_pixels)
            self._check_size(picture)
            if self._detector is None:
                self._detector = self._open_detector()
            time_s = min(frame / self._camera.fps, LATEST_S)
            found = self._detector.detect(picture, time_s)
            rows = self._convert(self._tracker.update(found, frame), self._detector.skeleton)
            frames = range(self._frame + 1, frame + 1)
            seen: Seen = {id: self._bridge(id, row, len(frames)) for id, row in rows.items()}
            self._frame, self._before = frame, rows
            return frames, seen

    def close(self) -> None:
        """Blocks until the look under way has ended."""
        with self._lock:
            self._closed = True
            if self._detector is not None:
                self._detector.close()
                self._detector = None

    def _open_detector(self) -> Detector:
        camera = self._camera
        return open_detector(camera.detector, camera.max_people, camera.device)

    def _check_size(self, picture: NDArray[np.uint8]) -> None:
        size = (picture.shape[1], picture.shape[0])
        self._size = self._size or size
        if size != self._size:
            raise InvalidInput(
                f"all pictures have one size, {self._size[0]}x{self._size[1]}; "
                f"got {size[0]}x{size[1]}",
                ("image_size",),
            )

    def _convert(
        self, tracked: Sequence[tuple[int, Person]], skeleton: Skeleton
    ) -> dict[PersonId, Rows]:
        """H36M-17 rows (17, 3); what lies too far away to mean anything is not seen."""
        if not tracked:
            return {}
        xy = np.stack([person.xy for _, person in tracked])
        score = np.stack([person.score for _, person in tracked])
        score = np.where(np.abs(xy).max(axis=-1) > MAX_COORDINATE_PX, 0, score)
        rows = self._sequence(xy, score, skeleton).to_h36m17().rows
        found: dict[PersonId, Rows] = {id: row for (id, _), row in zip(tracked, rows, strict=True)}
        return self._repaired(found, self._repairs) if self._repairs else found

    def _repaired(
        self, rows: Mapping[PersonId, Rows], repairs: SwapRepairs
    ) -> dict[PersonId, Rows]:
        """Before joints move from look to look, lest they cross the body on their way."""
        seen = {
            id: self._sequence(row[None, :, :2], row[None, :, 2], H36M17)
            for id, row in rows.items()
        }
        return {id: sequence.rows[0] for id, sequence in repairs.push(seen).items()}

    def _bridge(self, id: PersonId, row: Rows, frames: int) -> KeypointSequence:
        rows = row[None]
        if id in self._before and frames <= max(1, MAX_BRIDGED_S * self._camera.fps):
            rows = _between(self._before[id], row, frames)
        return self._sequence(rows[..., :2], rows[..., 2], H36M17)

    def _sequence(self, xy: Rows, score: Rows, skeleton: Skeleton) -> KeypointSequence:
        assert self._size is not None
        return KeypointSequence(xy, score, self._size, self._camera.fps, skeleton)


def _between(before: Rows, now: Rows, frames: int) -> Rows:
    """(frames, 17, 3): the way to where joints are now; one hidden at either end is not seen."""
    share = np.linspace(0, 1, frames + 1, dtype=np.float32)[1:, None, None]
    hidden = (before[:, 2] == 0) | (now[:, 2] == 0)
    rows = before + share * (now - before)
    rows[:-1, hidden] = 0
    rows[-1] = now
    return rows


def read_jpeg(data: bytes, max_pixels: int) -> NDArray[np.uint8]:
    """The upright RGB picture (H, W, 3). Raises NotUnderstood and, before decoding, TooLarge."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            _check_cost(data, image.width, image.height, max_pixels)
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except TooLarge:
        raise
    except Image.DecompressionBombError as error:
        raise TooLarge(f"a picture has at most {max_pixels} pixels here ({error})") from error
    except UnidentifiedImageError as error:
        raise NotUnderstood("a binary message is one JPEG picture, and this is none") from error
    except Exception as error:  # of many types, for files damaged in many ways
        raise NotUnderstood(f"a binary message is one JPEG picture: {error}") from error


def _check_cost(data: bytes, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels or max(width, height) > MAX_SIDE_PX:
        raise TooLarge(
            f"a picture has at most {max_pixels} pixels and {MAX_SIDE_PX} px a side here, "
            f"got {width}x{height}"
        )
    if (scans := _count_scans(data)) > MAX_SCANS:
        raise TooLarge(f"a JPEG has at most {MAX_SCANS} scans here, got {scans}")


def _count_scans(jpeg: bytes) -> int:
    """Not those of a thumbnail, nor what comes after the end, as phones' films do."""
    scans = place = 0
    while (marker := _MARKER.search(jpeg, place)) and marker[1] != _END:
        scans += marker[1] == _SCAN
        place = marker.end() + int.from_bytes(jpeg[marker.end() : marker.end() + 2])
    return scans
