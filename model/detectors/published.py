"""Published ONNX models with short names, and the file of a name.

OpenMMLab publishes no checksums of its archives, so every later use is checked against the sha256
of the first download. A sha256 listed here is published by several independent users.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model.detectors.downloads import MAX_BYTES, cached_download, cached_path
from model.errors import DetectorUnavailable, InvalidInput
from model.files import written_whole

_OPENMMLAB = "https://download.openmmlab.com/mmpose/v1/projects"
_RTMPOSE = f"{_OPENMMLAB}/rtmposev1/onnx_sdk"
_RTMO = f"{_OPENMMLAB}/rtmo/onnx_sdk"
_DWPOSE = "https://huggingface.co/yzd-v/DWPose/resolve/1a7144101628d69ee7a3768d1ee3a094070dc388"


@dataclass(frozen=True)
class Published:
    """URL of a model, and its sha256 if known."""

    url: str
    sha256: str = ""


POSE_MODELS: Mapping[str, Published] = {
    "rtmpose-s": Published(
        f"{_RTMPOSE}/rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504.zip"
    ),
    "rtmpose-m": Published(
        f"{_RTMPOSE}/rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504.zip"
    ),
    "rtmpose-l": Published(
        f"{_RTMPOSE}/rtmpose-l_simcc-body7_pt-body7_420e-256x192-4dba18fc_20230504.zip"
    ),
    "rtmpose-x": Published(
        f"{_RTMPOSE}/rtmpose-x_simcc-body7_pt-body7_700e-384x288-71d7b7e9_20230629.zip"
    ),
    "rtmpose-l-halpe26": Published(
        f"{_RTMPOSE}/rtmpose-l_simcc-body7_pt-body7-halpe26_700e-384x288-734182ce_20230605.zip"
    ),
    "dwpose-l": Published(
        f"{_DWPOSE}/dw-ll_ucoco_384.onnx",
        "724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843",
    ),
    "rtmo-s": Published(f"{_RTMO}/rtmo-s_8xb32-600e_body7-640x640-dac2bf74_20231211.zip"),
    "rtmo-m": Published(f"{_RTMO}/rtmo-m_16xb16-600e_body7-640x640-39e78cc4_20231211.zip"),
    "rtmo-l": Published(f"{_RTMO}/rtmo-l_16xb16-600e_body7-640x640-b37118ce_20231211.zip"),
}

BOX_MODELS: Mapping[str, Published] = {
    "yolox-tiny": Published(f"{_RTMPOSE}/yolox_tiny_8xb8-300e_humanart-6f3252f9.zip"),
    "yolox-m": Published(f"{_RTMPOSE}/yolox_m_8xb8-300e_humanart-c2c7a14a.zip"),
    "yolox-x": Published(f"{_RTMPOSE}/yolox_x_8xb8-300e_humanart-a39d44ed.zip"),
    "yolox-l": Published(
        f"{_DWPOSE}/yolox_l.onnx",
        "7860ae79de6c89a3c1eb72ae9a2756c0ccfbe04b7791bb5880afabd97855a411",
    ),
}


def network_file(name: str, known: Mapping[str, Published]) -> Path:
    """The ONNX file of a short name, a URL (`#sha256=...` checks its hash) or a path; a zip archive
    must contain one ONNX file.

    Raises InvalidInput if there is no such file, DetectorUnavailable if a download fails.
    """
    if name in known:
        return _unpacked(cached_download(known[name].url, known[name].sha256))
    if name.startswith(("https://", "http://")):
        url, _, sha256 = name.partition("#sha256=")
        return _unpacked(cached_download(url, sha256))
    path = Path(name).expanduser()
    if not path.is_file():
        raise InvalidInput(
            f"no such model file: {name}; known names: {', '.join(known)}", ("detector",)
        )
    return _unpacked(path)


def _unpacked(path: Path) -> Path:
    if not zipfile.is_zipfile(path):
        return path
    unpacked = path.with_name(f"{path.name}.onnx")
    if unpacked.exists() and unpacked.stat().st_mtime_ns >= path.stat().st_mtime_ns:
        return unpacked
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if entry.filename.endswith(".onnx")]
        if len(entries) != 1 or entries[0].file_size > MAX_BYTES:
            raise DetectorUnavailable(
                f"{path.name}: expected an archive with one ONNX file, found {len(entries)}"
            )
        with written_whole(unpacked) as part:
            part.write_bytes(archive.read(entries[0]))
    return unpacked


def is_downloaded(model: Published) -> bool:
    return cached_path(model.url).exists()
