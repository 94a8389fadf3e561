"""MediaPipe's PoseLandmarker for several people, from the model files inside its own wheel.

Nothing is downloaded. The landmarker needs a bundle of two models whose metadata define how their
input is normalised; the wheel contains the models without metadata, and a writer that adds it. The
heavy landmark model is not in the wheel (model.detectors.mediapipe.heavy).
"""

import io
import os
import re
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module, metadata, resources
from types import ModuleType
from typing import Any

import numpy as np

from model.detectors.following import PeopleFollower
from model.detectors.mediapipe.heavy import heavy_model
from model.detectors.person import Person
from model.errors import DetectorUnavailable
from model.files import cache_folder, written_whole
from model.keypoints.joint_sets import BLAZEPOSE33
from model.keypoints.sequences import Image
from model.runtime.malloc import give_memory_back, limit_heaps

_DETECTOR = "pose_detection/pose_detection.tflite"
_LANDMARKS = "pose_landmark/pose_landmark_full.tflite"
"""Paths in the wheel."""
_LOG_LINE = re.compile(
    rb"[IW]\d{4} |INFO: Created TensorFlow|WARNING: All log messages before absl"
)
_STDERR = threading.Lock()


class MediaPipeDetector:
    """BlazePose's 33 points of up to `max_people` people, on the CPU; an image takes about
    20 to 30 ms per person on one core, twice as long with the heavy model.

    A score is MediaPipe's visibility: its confidence that the point is inside the image and not
    hidden. Points outside the image stay where MediaPipe guesses them, with a low score.
    """

    skeleton = BLAZEPOSE33

    def __init__(self, max_people: int, model: str = ""):
        """`model`: heavy, or empty for the landmark model of the wheel."""
        limit_heaps()
        mediapipe = _load_mediapipe()
        self.name = f"mediapipe:{model}" if model else "mediapipe"
        self.version = metadata.version("mediapipe")
        bundle = _bundle(self.version, model)
        self._follower = PeopleFollower(
            search=_Landmarker(mediapipe, bundle, "IMAGE", max_people),
            open_landmarker=lambda: _Landmarker(mediapipe, bundle, "VIDEO", 1),
            max_people=max_people,
        )

    def detect(self, image: Image, time_s: float) -> list[Person]:
        return self._follower.detect(image, round(time_s * 1000))

    def close(self) -> None:
        self._follower.close()
        give_memory_back()


class _Landmarker:
    """The Tasks PoseLandmarker. IMAGE mode detects anew each time, VIDEO mode follows."""

    _has_found_people = False

    def __init__(self, mediapipe: ModuleType, bundle: bytes, mode: str, people: int):
        self._mediapipe = mediapipe
        self._landmarker = _open_landmarker(bundle, mode, people)
        self._in_video = mode == "VIDEO"
        self._last_ms = -1

    def __call__(self, image: Image, time_ms: int) -> list[Person]:
        mediapipe_image = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image)
        )
        # MediaPipe logs another line when a process finds its first person
        with nullcontext() if _Landmarker._has_found_people else _filtered_stderr():
            poses = self._find(mediapipe_image, time_ms).pose_landmarks
        _Landmarker._has_found_people |= bool(poses)
        height, width = image.shape[:2]
        people = (_person(points, width, height) for points in poses)
        return [person for person in people if person is not None]

    def _find(self, image: Any, time_ms: int) -> Any:
        if self._in_video:
            # MediaPipe rejects a time that does not rise; a landmarker that dropped one person may
            # get another in the same frame
            self._last_ms = max(time_ms, self._last_ms + 1)
            return self._landmarker.detect_for_video(image, self._last_ms)
        return self._landmarker.detect(image)

    def close(self) -> None:
        self._landmarker.close()


def _person(points: Iterable[Any], width: int, height: int) -> Person | None:
    """MediaPipe's points, relative to the image sides, as a person; None if not finite."""
    rows = np.array([(p.x * width, p.y * height, p.visibility) for p in points], np.float32)
    if not np.isfinite(rows).all():
        return None
    return Person(xy=rows[:, :2], score=np.clip(rows[:, 2], 0, 1))


def _load_mediapipe() -> ModuleType:
    try:
        return import_module("mediapipe")
    except (ImportError, OSError) as error:
        raise DetectorUnavailable(
            f"the detector mediapipe cannot be loaded ({error}); install mediapipe==0.10.21"
        ) from error


def _open_landmarker(bundle: bytes, mode: str, people: int) -> Any:
    tasks = import_module("mediapipe.tasks.python")
    delegate = tasks.BaseOptions.Delegate.CPU
    options = tasks.vision.PoseLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_buffer=bundle, delegate=delegate),
        running_mode=tasks.vision.RunningMode[mode],
        num_poses=people,
    )
    try:
        with _filtered_stderr():
            return tasks.vision.PoseLandmarker.create_from_options(options)
    except (RuntimeError, ValueError) as error:
        raise DetectorUnavailable(
            f"MediaPipe rejects its models ({error}); empty {cache_folder()} and try again"
        ) from error


def _bundle(version: str, model: str) -> bytes:
    """The bundle from the cache, else built and, if the cache can be written, cached."""
    name = f"mediapipe-{version}-pose_landmarker_{model or 'full'}.task"
    path = cache_folder() / name
    try:
        return path.read_bytes()
    except OSError:
        bundle = _build_bundle(heavy_model() if model else _in_wheel(_LANDMARKS))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as part:
            part.write_bytes(bundle)
    except OSError:
        pass  # costs half a second next time
    return bundle


def _build_bundle(landmarks: bytes) -> bytes:
    """An uncompressed zip, because MediaPipe maps the models in place."""
    parts = {
        "pose_detector.tflite": _normalised(_in_wheel(_DETECTOR), mean=127.5, spread=127.5),
        "pose_landmarks_detector.tflite": _normalised(landmarks, mean=0, spread=255),
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as bundle:
        for name, part in parts.items():
            bundle.writestr(zipfile.ZipInfo(name), part)
    return content.getvalue()


def _in_wheel(path: str) -> bytes:
    try:
        return (resources.files("mediapipe") / "modules" / path).read_bytes()
    except OSError as error:
        raise DetectorUnavailable(
            f"this mediapipe lacks modules/{path}; install mediapipe==0.10.21"
        ) from error


def _normalised(model: bytes, mean: float, spread: float) -> bytes:
    """The model with metadata: its input is (pixel - mean) / spread, of pixels 0..255."""
    writers = import_module("mediapipe.tasks.python.metadata.metadata_writers.metadata_writer")
    with warnings.catch_warnings():
        # the writer leaves temporary files to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        writer = writers.MetadataWriter.create(bytearray(model))
        writer.add_image_input([mean], [spread])
        populated, _ = writer.populate()
        del writer
    return bytes(populated)


@contextmanager
def _filtered_stderr() -> Iterator[None]:
    """Drop the notes that MediaPipe's C++ always writes to stderr; other lines, its errors too, are
    written afterwards."""
    with _STDERR, tempfile.TemporaryFile() as captured:
        stderr = os.dup(2)
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            captured.seek(0)
            kept = b"".join(line for line in captured if not _LOG_LINE.match(line))
            os.write(stderr, kept)
            os.close(stderr)
