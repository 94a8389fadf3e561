"""MediaPipe's heavy landmark model, which its wheel lacks: `make detector-heavy` puts it in place.

It comes in an npm package of MediaPipe's authors, from whatever registry npm is set up for, or in
that package's archive, fetched elsewhere: python -m model.detectors.mediapipe.heavy [ARCHIVE]
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from model.detectors.downloads import cache_folder
from model.errors import DetectorUnavailable
from model.files import written_whole

PACKAGE = "@mediapipe/pose@0.5.1675469404"
SHA256 = "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe"
_IN_ARCHIVE = "package/pose_landmark_heavy.tflite"


def model_path() -> Path:
    """Where the model is kept."""
    return cache_folder() / "models" / "pose_landmark_heavy.tflite"


def heavy_model() -> bytes:
    """The model as it was put in place; raises DetectorUnavailable."""
    try:
        return _checked(model_path().read_bytes(), model_path())
    except OSError as error:
        raise DetectorUnavailable(
            "the model of mediapipe:heavy (27.7 MB) is not here: `make detector-heavy`, or "
            "python -m model.detectors.mediapipe.heavy, fetches it with npm"
        ) from error


def install(archive: Path) -> Path:
    """Put the model of that npm archive in place. Raises DetectorUnavailable and OSError."""
    try:
        with tarfile.open(archive) as package:
            member = package.extractfile(_IN_ARCHIVE)
            model = member.read() if member else b""
    except (tarfile.TarError, EOFError, KeyError) as error:
        raise DetectorUnavailable(f"{archive} is not npm's archive of {PACKAGE}") from error
    path = model_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part:
        part.write_bytes(_checked(model, archive))
    return path


def fetch(folder: Path) -> Path:
    """npm's archive, in that folder; raises DetectorUnavailable."""
    command = ["npm", "pack", "--silent", f"--pack-destination={folder}", PACKAGE]
    elsewhere = f"; or fetch the archive of {PACKAGE} elsewhere: make detector-heavy ARGS=ARCHIVE"
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise DetectorUnavailable(f"npm is not installed{elsewhere}") from error
    except subprocess.CalledProcessError as error:
        raise DetectorUnavailable(f"npm: {error.stderr.strip()}{elsewhere}") from error
    (archive,) = folder.iterdir()
    return archive


def _checked(model: bytes, source: Path) -> bytes:
    found = hashlib.sha256(model).hexdigest()
    if found != SHA256:
        raise DetectorUnavailable(
            f"the heavy model in {source} has the sha256 {found}, expected {SHA256}: not used"
        )
    return model


def main(arguments: list[str]) -> int:
    try:
        with tempfile.TemporaryDirectory() as folder:
            print(install(Path(arguments[0]) if arguments else fetch(Path(folder))))
    except (DetectorUnavailable, OSError) as error:
        print(f"poselift: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
