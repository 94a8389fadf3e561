"""Any 2D model of MMPose, run by MMPose itself and torch.

They take seconds and hundreds of megabytes to import, so they are imported when such a detector is
opened.
"""

import threading
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np

from model.detectors.boxes import BoxDetector, open_boxes, suppress
from model.detectors.downloads import cached_download
from model.detectors.mmpose.models import load_model
from model.detectors.mmpose.stand_ins import stand_ins
from model.detectors.names import DetectorName
from model.detectors.opening import Detector
from model.detectors.person import Person
from model.detectors.top_down import TopDownDetector, to_people
from model.errors import DetectorUnavailable, DeviceUnavailable, InvalidInput
from model.keypoints.joint_sets import SKELETONS, skeleton_named
from model.keypoints.sequences import Float32, Image
from model.keypoints.skeleton import Skeleton

DEFAULT_MODEL = "human"
"""MMPose's alias of its default model of people: an RTMPose-m with COCO's joints."""

_MMPOSE_NAMES: Mapping[str, Mapping[str, str]] = {
    "h36m17": {"hip": "root", "right_ankle": "right_foot", "left_ankle": "left_foot"}
    | {"neck_nose": "neck_base"},
    "halpe26": {"head_top": "head"},
    "crowdpose14": {"head_top": "top_head"},
}
"""Our joint name -> MMPose's, where they differ."""
_LOCK = threading.RLock()
"""MMPose's current package (MMEngine's default scope) is global to all threads."""


def open_mmpose(name: DetectorName, max_people: int, device: str) -> Detector:
    """A model by its MMPose name or config file, with a checkpoint or the published one.

    Raises InvalidInput, DetectorUnavailable, DeviceUnavailable.
    """
    with _LOCK:
        _import_all()
        _check_device(device)
        config = _config_file(name.model or DEFAULT_MODEL)
        weights = _weights_file(name.checkpoint) if name.checkpoint else _published_weights(config)
        model = load_model("mmpose", config, weights, device)
        name_and_version = ("mmpose", f"{metadata.version('mmpose')} {config.stem}")
        skeleton = _skeleton(name, config, model.dataset_meta)
        if model.cfg.model.type == "BottomupPoseEstimator":
            return BottomUpDetector(name_and_version, skeleton, model, max_people)
        boxes = _open_boxes(name, max_people, device)
    return TopDownDetector(name_and_version, skeleton, boxes, partial(_estimate, model), max_people)


class BottomUpDetector:
    """All people at once, each image independently."""

    def __init__(
        self, name_and_version: tuple[str, str], skeleton: Skeleton, model: Any, max_people: int
    ):
        self.name, self.version = name_and_version
        self.skeleton = skeleton
        self._model = model
        self._max_people = max_people

    def detect(self, image: Image, time_s: float) -> list[Person]:
        with _LOCK:
            (sample,) = _apis().inference_bottomup(self._model, _bgr(image))
        people = sample.pred_instances
        boxes = _array(people.bboxes).reshape(-1, 4)
        kept = suppress(boxes, _array(people.bbox_scores))[: self._max_people]
        if not kept:
            return []
        joints, scores = _array(people.keypoints), _array(people.keypoint_scores)
        return to_people(joints[kept], scores[kept], self.version)

    def close(self) -> None: ...


class MMDetBoxes:
    """MMPose's default person detector, or an MMDetection model whose first class is person."""

    follows = True

    def __init__(self, model: Any):
        self._model = model

    def find(self, image: Image, time_s: float) -> Float32:
        with _LOCK:
            result = import_module("mmdet.apis").inference_detector(self._model, _bgr(image))
        people = result.pred_instances.cpu().numpy()
        scores = _array(people.scores) * (people.labels == 0)
        boxes = _array(people.bboxes)
        return boxes[suppress(boxes, scores)]

    def close(self) -> None: ...


def _estimate(model: Any, image: Image, boxes: Float32) -> list[Person]:
    """The people in n boxes, in one call of the model."""
    with _LOCK:
        samples = _apis().inference_topdown(model, _bgr(image), boxes)
    people = [sample.pred_instances for sample in samples]
    xy = np.concatenate([_array(person.keypoints) for person in people])
    score = np.concatenate([_array(person.keypoint_scores) for person in people])
    return to_people(xy, score, Path(model.cfg.filename).stem)


def _array(values: Any) -> Float32:
    return np.asarray(values, np.float32)


def _bgr(image: Image) -> Image:
    return np.ascontiguousarray(image[..., ::-1])


def _apis() -> Any:
    return import_module("mmpose.apis")


def _import_all() -> None:
    """Import all of MMPose and MMDetection now, while the stand-ins are in place."""
    try:
        with stand_ins(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations of torch and setuptools
            for package in ("mmdet", "mmpose"):
                import_module(f"{package}.apis")
                import_module(f"{package}.utils").register_all_modules(False)
            # else it logs each change between its packages, twice per image
            import_module("mmengine.logging").MMLogger.get_current_instance().setLevel("ERROR")
    except (ImportError, OSError, AssertionError) as error:
        # incompatible versions raise AssertionError
        raise DetectorUnavailable(
            f"the detector mmpose cannot be loaded ({error}); `make mmpose` installs what it needs"
        ) from error


def _check_device(device: str) -> None:
    if device != "cpu" and not import_module("torch").cuda.is_available():
        raise DeviceUnavailable(
            f"the lifter runs on {device}, but this torch sees no CUDA: install a CUDA build of "
            "torch for the detector mmpose, or set the device to cpu"
        )


def _configs(package: str) -> Path:
    return Path(str(import_module(package).__file__)).parent / ".mim"


def _config_file(model: str) -> Path:
    """Of a path, the name of a config of MMPose, or its alias."""
    if model.endswith(".py") and Path(model).expanduser().is_file():
        return Path(model).expanduser()
    utils = import_module("mmpose.apis.inferencers.utils")
    aliases: dict[str, str] = utils.get_model_aliases("mmpose")
    name = aliases.get(model, model).removesuffix(".py")
    files = [f for f in (_configs("mmpose") / "configs").rglob("*.py") if f.stem == name]
    if not files:
        raise InvalidInput(
            f"mmpose has no config {model[:200]!r}; expected a file, the name of one of its "
            f"configs, or one of {', '.join(sorted(aliases))}",
            ("detector",),
        )
    return files[0]


def _published_weights(config: Path) -> Path:
    """The checkpoint that MMPose publishes for one of its own configs."""
    own = _configs("mmpose") / "configs"
    if not config.is_relative_to(own):
        raise InvalidInput(
            f"{config.name} needs a checkpoint, as in mmpose:{config.name},CHECKPOINT",
            ("detector",),
        )
    hub = import_module("mmengine.hub")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a deprecation of setuptools
            url = hub.get_config(f"mmpose::{config.relative_to(own)}", pretrained=True).model_path
    except (ValueError, AttributeError, KeyError) as error:
        raise DetectorUnavailable(f"MMPose publishes no weights for {config.stem}") from error
    return cached_download(url)


def _weights_file(name: str) -> Path:
    if name.startswith(("https://", "http://")):
        url, _, sha256 = name.partition("#sha256=")
        return cached_download(url, sha256)
    path = Path(name).expanduser()
    if not path.is_file():
        raise InvalidInput(f"no such checkpoint file: {name}", ("detector",))
    return path


def _open_boxes(name: DetectorName, max_people: int, device: str) -> BoxDetector:
    """MMPose's default person detector, `mmdet:CONFIG;CHECKPOINT`, or as for any top-down model."""
    if not name.boxes:
        defaults = import_module("mmpose.apis.inferencers.utils.default_det_models")
        own = defaults.default_det_models["human"]
        return MMDetBoxes(
            load_model("mmdet", Path(own["model"]), cached_download(own["weights"]), device)
        )
    if name.boxes.startswith("mmdet:"):
        config, _, weights = name.boxes.removeprefix("mmdet:").partition(";")
        model = load_model("mmdet", Path(config).expanduser(), _weights_file(weights), device)
        return MMDetBoxes(model)
    return open_boxes(name, max_people, device)


def _skeleton(name: DetectorName, config: Path, meta: Mapping[str, Any]) -> Skeleton:
    """The joint set with the same number of joints, and the same order where it is converted."""
    names = [joint for _, joint in sorted(meta.get("keypoint_id2name", {}).items())]
    candidates = [skeleton_named(name.joints)] if name.joints else SKELETONS.values()
    for skeleton in candidates:
        fits = len(names) == len(skeleton.joints)
        if fits and (name.joints or _agree(names, skeleton)):
            return skeleton
    raise DetectorUnavailable(
        f"{config.stem} returns the joints of {meta.get('dataset_name')} "
        f"({len(names)}: {', '.join(names[:4])}, ...), which cannot be converted to H36M-17 as "
        f"{name.joints or ', '.join(SKELETONS)}"
    )


def _agree(names: Sequence[str], skeleton: Skeleton) -> bool:
    mmpose_names = _MMPOSE_NAMES.get(skeleton.name, {})
    used = {joint for recipes in skeleton.h36m17.values() for recipe in recipes for joint in recipe}
    return all(names[skeleton.index(joint)] == mmpose_names.get(joint, joint) for joint in used)
