"""Weights on disk: which there are, whether they are whole, and what they say of themselves."""

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
"""Version of the metadata below; another one is refused."""
MANIFEST = "manifest.json"
FPS_MARGIN = 0.1
"""How far beyond the trained frame rates nothing needs to be said."""
FRAME_JOINTS = "frame_joints"
"""The tensor (N, 17, C) before the spatial half, N = windows x frames."""
FRAME_FEATURES = "frame_features"
"""The tensor (N, D) behind the spatial half."""
FRAME_ROWS = "frame_rows"
"""The last tensor (N, ..) in which frames are apart: the features, and what the temporal half makes
of each frame by itself. Absent from the files of exporters that arranged nothing."""

_CHANNELS = {"person": PERSON_CHANNELS, "image": IMAGE_CHANNELS}


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of itself; see docs/onnx.md for each field.

    frames is f; normalisation is `person` or `image`; height_m is the body height that answers
    are given at, or None where the training bodies kept their own; fps are the frame rates that
    the training covered; precision is what the temporal half computes with, float32 or int8;
    confidence is None until `poselift fit-confidence` has been run on the file.
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
        """The distance that this model's confidence speaks of; None where it gives none."""
        return self.confidence.within_mm if self.confidence else None

    def covers(self, fps: float) -> bool:
        """Whether training covered this frame rate, or nearly."""
        low, high = self.fps
        return low * (1 - FPS_MARGIN) <= fps <= high * (1 + FPS_MARGIN)

    def stride(self, fps: float) -> int:
        """Every how many frames are to be lifted, so that the rate is not above those trained."""
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
            "channel_names": _channel_names(self.normalisation),
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
        """Raises ModelFileError that names the field, what was expected and what was found."""
        _expect(path, metadata, "format", FORMAT)
        _expect(path, metadata, "skeleton", H36M17.name)
        _expect(path, metadata, "unit", "metre")
        try:
            low, high = metadata["fps"].split("-")
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
                confidence=_calibration(metadata.get("confidence", "")),
            )
        except (KeyError, ValueError) as error:
            raise ModelFileError(f"{path}: metadata are missing or unreadable: {error}") from error
        _check(info, path)
        return info


def _calibration(text: str) -> Calibration | None:
    return Calibration.from_json(text) if text else None


def _check(info: ModelInfo, path: Path) -> None:
    if info.normalisation not in _CHANNELS:
        raise ModelFileError(
            f"{path}: normalisation is one of {', '.join(_CHANNELS)}, found {info.normalisation!r}"
        )
    expected = _CHANNELS[info.normalisation]
    if info.channels != expected:
        raise ModelFileError(
            f"{path}: the {info.normalisation} normalisation has {expected} channels, "
            f"found {info.channels}"
        )
    if info.frames < 1 or info.frames % 2 == 0:
        raise ModelFileError(f"{path}: frames is odd and positive, found {info.frames}")
    if info.readouts not in (("centre",), ("centre", "dense")):
        raise ModelFileError(
            f"{path}: readouts are centre, or centre and dense; found {', '.join(info.readouts)}"
        )


def _expect(path: Path, metadata: Mapping[str, str], field: str, value: str) -> None:
    found = metadata.get(field)
    if found != value:
        raise ModelFileError(
            f"{path} is no poselift model: its {field} should be {value!r}, found {found!r}"
        )


def _channel_names(normalisation: str) -> str:
    names = {
        "person": "x,y,score,box direction x,box direction y,log box half size",
        "image": "x,y",
    }
    return names[normalisation]


def read_model(path: Path) -> tuple[onnx.ModelProto, ModelInfo]:
    """Read a model file whole, checked against the manifest beside it and its own metadata.

    Raises ModelFileError.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror})") from error
    _check_sha256(path, content)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own error class differs between its builds
        raise ModelFileError(f"{path}: expected an ONNX file, found something else") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    info = ModelInfo.from_metadata(metadata, path)
    _check_graph(model, info, path)
    return model, info


def read_manifest(folder: Path) -> dict[str, dict[str, object]]:
    """Model name -> {file, sha256, origin, licence, metrics}; empty where there is no manifest."""
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
    """Name a model file in the manifest beside it, with its hash; replaces an older entry."""
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
    """POSELIFT_WEIGHTS, else the checkout's own weights, else those inside the package."""
    if named := os.environ.get("POSELIFT_WEIGHTS"):
        return Path(named)
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "weights"
    return checkout if checkout.is_dir() else package / "_weights"


def known_models(folder: Path) -> dict[str, Path]:
    """Model name -> file, for each .onnx file of the folder that is not hidden."""
    files = sorted(folder.glob("*.onnx"))
    return {path.stem: path for path in files if not path.name.startswith(".")}


def model_named(name: str, folder: Path) -> Path:
    """The file of that model; raises UnknownName, which lists those that are there."""
    known = known_models(folder)
    if name not in known:
        raise UnknownName("model", name, known)
    return known[name]


def _check_sha256(path: Path, content: bytes) -> None:
    for entry in read_manifest(path.parent).values():
        if entry.get("file") != path.name:
            continue
        found = hashlib.sha256(content).hexdigest()
        if found != entry.get("sha256"):
            raise ModelFileError(
                f"{path} is damaged or was replaced: {MANIFEST} expects sha256 "
                f"{entry.get('sha256')}, found {found}"
            )


def _check_graph(model: onnx.ModelProto, info: ModelInfo, path: Path) -> None:
    inputs = {value.name: _sizes(value) for value in model.graph.input}
    expected = {"keypoints": (None, info.frames, len(H36M17.joints), info.channels)}
    if inputs != expected:
        raise ModelFileError(f"{path}: expected the input {expected}, found {inputs}")
    outputs = tuple(value.name for value in model.graph.output)
    if outputs != info.readouts:
        raise ModelFileError(f"{path}: expected the outputs {info.readouts}, found {outputs}")
    tensors = {name for node in model.graph.node for name in (*node.input, *node.output)}
    missing = {FRAME_JOINTS, FRAME_FEATURES} - tensors
    if missing:
        raise ModelFileError(f"{path}: expected the tensors {sorted(missing)}, found none so named")


def _sizes(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """Fixed sizes of a tensor's axes, None for a free one."""
    axes = value.type.tensor_type.shape.dim
    return tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in axes)
