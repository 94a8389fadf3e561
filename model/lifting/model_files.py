"""Model files: the weights folder, the manifest, and the metadata of a file, all checked."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import onnx

from model.errors import ModelFileError, UnknownName
from model.files import written_whole
from model.keypoints.skeleton import H36M17
from model.lifting.camera import IMAGE_CHANNELS, PERSON_CHANNELS
from model.lifting.confidence import Calibration

FORMAT = "1"
"""Version of the metadata; files with another one are rejected."""
MANIFEST = "manifest.json"
FPS_MARGIN = 0.1
"""Frame rates count as trained up to this share beyond the trained range."""
FRAME_JOINTS = "frame_joints"
"""The tensor (N, 17, C) before the spatial half, N = windows x frames."""
FRAME_FEATURES = "frame_features"
"""The tensor (N, D) after the spatial half."""
FRAME_ROWS = "frame_rows"
"""The last tensor (N, ..) with one row per frame: the features, and the temporal half's products of
each frame alone. Absent in files exported without them."""

_CHANNELS = {"person": PERSON_CHANNELS, "image": IMAGE_CHANNELS}
_CHANNEL_NAMES = {
    "person": "x,y,score,box direction x,box direction y,log box half size",
    "image": "x,y",
}


@dataclass(frozen=True)
class ModelInfo:
    """The metadata of a model file; docs/onnx.md describes each field.

    frames is f; normalisation is `person` or `image`; height_m is the body height of output poses,
    None if the training bodies had several; fps is the trained range of frame rates; precision is
    that of the temporal half, float32 or int8; confidence is None until `poselift fit-confidence`
    has been run on the file.
    """

    name: str
    version: str
    frames: int
    channels: int
    normalisation: str
    readouts: tuple[str, ...]
    height_m: float | None
    fps: tuple[float, float]
    licence: str
    training_commit: str
    metrics: Mapping[str, float]
    shape: Mapping[str, float]
    precision: str = "float32"
    confidence: Calibration | None = None

    @property
    def confidence_within_mm(self) -> float | None:
        """The error below which the confidence is the probability; None without confidence."""
        return self.confidence.within_mm if self.confidence else None

    def covers(self, fps: float) -> bool:
        """Whether the frame rate was trained, within the margin."""
        low, high = self.fps
        return low * (1 - FPS_MARGIN) <= fps <= high * (1 + FPS_MARGIN)

    def stride(self, fps: float) -> int:
        """k, where lifting every k-th frame keeps the rate within those trained."""
        return max(1, ceil(fps / (self.fps[1] * (1 + FPS_MARGIN))))

    def to_metadata(self) -> dict[str, str]:
        """The file's metadata; the inverse of from_metadata."""
        return {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "skeleton": H36M17.name,
            "joints": ",".join(H36M17.joints),
            "frames": str(self.frames),
            "channels": str(self.channels),
            "channel_names": _CHANNEL_NAMES[self.normalisation],
            "normalisation": self.normalisation,
            "unit": "metre",
            "axes": "x right, y down, z forward; relative to the pelvis",
            "readouts": ",".join(self.readouts),
            "height_m": "" if self.height_m is None else repr(self.height_m),
            "fps": f"{self.fps[0]:g}-{self.fps[1]:g}",
            "licence": self.licence,
            "training_commit": self.training_commit,
            "metrics": json.dumps(dict(self.metrics)),
            "shape": json.dumps(dict(self.shape)),
            "precision": self.precision,
            "confidence": self.confidence.to_json() if self.confidence else "",
        }

    @staticmethod
    def from_metadata(metadata: Mapping[str, str], path: Path) -> "ModelInfo":
        """Raises ModelFileError with the field, the expected and the actual value."""
        _expect(path, metadata, "format", FORMAT)
        _expect(path, metadata, "skeleton", H36M17.name)
        _expect(path, metadata, "unit", "metre")
        try:
            low, high = metadata["fps"].split("-")
            fit = metadata.get("confidence")
            info = ModelInfo(
                name=metadata["name"],
                version=metadata["version"],
                frames=int(metadata["frames"]),
                channels=int(metadata["channels"]),
                normalisation=metadata["normalisation"],
                readouts=tuple(metadata["readouts"].split(",")),
                height_m=float(metadata["height_m"]) if metadata["height_m"] else None,
                fps=(float(low), float(high)),
                licence=metadata["licence"],
                training_commit=metadata["training_commit"],
                metrics=json.loads(metadata["metrics"]),
                shape=json.loads(metadata["shape"]),
                precision=metadata.get("precision", "float32"),
                confidence=Calibration.from_json(fit) if fit else None,
            )
        except (KeyError, ValueError) as error:
            raise ModelFileError(f"{path}: metadata are missing or unreadable: {error}") from error
        _check(info, path)
        return info


def _check(info: ModelInfo, path: Path) -> None:
    if info.normalisation not in _CHANNELS:
        raise ModelFileError(
            f"{path}: normalisation must be {' or '.join(_CHANNELS)}, got {info.normalisation!r}"
        )
    expected = _CHANNELS[info.normalisation]
    if info.channels != expected:
        raise ModelFileError(
            f"{path}: the {info.normalisation} normalisation has {expected} channels, "
            f"got {info.channels}"
        )
    if info.frames < 1 or info.frames % 2 == 0:
        raise ModelFileError(f"{path}: frames must be odd and positive, got {info.frames}")
    if info.readouts not in (("centre",), ("centre", "dense")):
        raise ModelFileError(
            f"{path}: readouts must be centre, or centre,dense; got {','.join(info.readouts)}"
        )


def _expect(path: Path, metadata: Mapping[str, str], field: str, value: str) -> None:
    if metadata.get(field) != value:
        raise ModelFileError(
            f"{path} is no poselift model: expected {field} {value!r}, got {metadata.get(field)!r}"
        )


def read_model(path: Path) -> tuple[onnx.ModelProto, ModelInfo]:
    """Read a model file, and check it against the manifest beside it and its own metadata; raises
    ModelFileError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror})") from error
    _check_sha256(path, content)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own error class differs between its builds
        raise ModelFileError(f"{path}: expected an ONNX file, got something else") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    info = ModelInfo.from_metadata(metadata, path)
    _check_graph(model, info, path)
    return model, info


def read_manifest(folder: Path) -> dict[str, dict[str, object]]:
    """Model name -> {file, sha256, origin, licence, metrics}; empty if there is no manifest."""
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text())
    except ValueError as error:
        raise ModelFileError(f"{path}: not JSON ({error})") from error
    if not isinstance(manifest, dict):
        raise ModelFileError(f"{path}: expected an object of models")
    return manifest


def enter_in_manifest(path: Path, info: ModelInfo, origin: str) -> None:
    """Add a model file and its hash to the manifest beside it; replaces an older entry."""
    manifest = read_manifest(path.parent)
    manifest[info.name] = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "version": info.version,
        "origin": origin,
        "licence": info.licence,
        "metrics": dict(info.metrics),
    }
    with written_whole(path.parent / MANIFEST) as part:
        part.write_text(json.dumps(manifest, indent=2) + "\n")


def weights_folder() -> Path:
    """POSELIFT_WEIGHTS, else the checkout's weights folder, else that of the package."""
    if named := os.environ.get("POSELIFT_WEIGHTS"):
        return Path(named)
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "weights"
    return checkout if checkout.is_dir() else package / "_weights"


def known_models(folder: Path) -> dict[str, Path]:
    """Model name -> file, for the .onnx files of the folder that are not hidden."""
    files = sorted(folder.glob("*.onnx"))
    return {path.stem: path for path in files if not path.name.startswith(".")}


def model_named(name: str, folder: Path) -> Path:
    """The file of a model; raises UnknownName, which lists the known ones."""
    known = known_models(folder)
    if name not in known:
        raise UnknownName("model", name, known)
    return known[name]


def _check_sha256(path: Path, content: bytes) -> None:
    for entry in read_manifest(path.parent).values():
        if entry.get("file") != path.name:
            continue
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != entry.get("sha256"):
            raise ModelFileError(
                f"{path} is damaged or was replaced: {MANIFEST} expects sha256 "
                f"{entry.get('sha256')}, got {sha256}"
            )


def _check_graph(model: onnx.ModelProto, info: ModelInfo, path: Path) -> None:
    inputs = {value.name: _sizes(value) for value in model.graph.input}
    expected = {"keypoints": (None, info.frames, len(H36M17.joints), info.channels)}
    if inputs != expected:
        raise ModelFileError(f"{path}: expected the input {expected}, got {inputs}")
    outputs = tuple(value.name for value in model.graph.output)
    if outputs != info.readouts:
        raise ModelFileError(f"{path}: expected the outputs {info.readouts}, got {outputs}")
    tensors = {name for node in model.graph.node for name in (*node.input, *node.output)}
    missing = {FRAME_JOINTS, FRAME_FEATURES} - tensors
    if missing:
        raise ModelFileError(f"{path}: the tensors {sorted(missing)} are missing")


def _sizes(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """The sizes of a tensor's axes, None for a free one."""
    axes = value.type.tensor_type.shape.dim
    return tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in axes)
