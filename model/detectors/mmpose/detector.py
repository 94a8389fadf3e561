"""Any 2D model of MMPose, through MMPose itself and torch.

Importing it costs seconds and hundreds of megabytes, so nothing of it is imported before a detector
of this kind is opened.
"""

import threading
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np

from model.detectors.boxes import BoxFinder, open_boxes, suppress
from model.detectors.downloads import fetched
from model.detectors.mmpose.models import opened
from model.detectors.mmpose.stand_ins import stand_ins
from model.detectors.names import DetectorName
from model.detectors.opening import Detector
from model.detectors.person import Person
from model.detectors.top_down import TopDownDetector, seen_people
from model.detectors.view import Picture
from model.errors import DetectorUnavailable, DeviceUnavailable, InvalidInput
from model.keypoints.joint_sets import SKELETONS, skeleton_named
from model.keypoints.sequences import Float32
from model.keypoints.skeleton import Skeleton

DEFAULT_MODEL = "human"
"""MMPose's own word for its general model of people: an RTMPose-m for COCO's joints."""

_THEIR_NAMES: Mapping[str, Mapping[str, str]] = {
    "h36m17": {"hip": "root", "right_ankle": "right_foot", "left_ankle": "left_foot"}
    | {"neck_nose": "neck_base"},
    "halpe26": {"head_top": "head"},
    "crowdpose14": {"head_top": "top_head"},
}
"""Our name of a joint -> MMPose's, where they differ."""
_TURN = threading.RLock()
"""One at a time: MMPose keeps which of its packages is meant in a place that all threads share."""


def open_mmpose(asked: DetectorName, max_people: int, device: str) -> Detector:
    """A model of MMPose's by its name there, or a config, with a checkpoint or the published one.

    Raises InvalidInput, DetectorUnavailable, DeviceUnavailable.
    """
    with _TURN:
        _import_all()
        _check_device(device)
        config = _config_file(asked.model or DEFAULT_MODEL)
        weights = (
            _weights_file(asked.checkpoint) if asked.checkpoint else _published_weights(config)
        )
        model = opened("mmpose", config, weights, device)
        names = ("mmpose", f"{metadata.version('mmpose')} {config.stem}")
        skeleton = _skeleton(asked, config, model.dataset_meta)
        if model.cfg.model.type == "BottomupPoseEstimator":
            return BottomUpDetector(names, skeleton, model, max_people)
        boxes = _open_boxes(asked, max_people, device)
    return TopDownDetector(
        names, skeleton, boxes, lambda image, found: _estimate(model, image, found), max_people
    )


class BottomUpDetector:
    """Everybody at once, each picture for itself."""

    def __init__(self, named: tuple[str, str], skeleton: Skeleton, model: Any, max_people: int):
        self.name, self.version = named
        self.skeleton = skeleton
        self._model = model
        self._max_people = max_people

    def detect(self, image: Picture, time_s: float) -> list[Person]:
        with _TURN:
            (sample,) = _apis().inference_bottomup(self._model, _bgr(image))
        found = sample.pred_instances
        boxes = _array(found.bboxes).reshape(-1, 4)
        kept = suppress(boxes, _array(found.bbox_scores))[: self._max_people]
        if not kept:
            return []
        joints, scores = _array(found.keypoints), _array(found.keypoint_scores)
        return seen_people(joints[kept], scores[kept], self.version)

    def close(self) -> None: ...


class MMDetBoxes:
    """The person detector that MMPose itself puts before its models, or another of MMDetection's
    whose first class is a person."""

    follows = True

    def __init__(self, model: Any):
        self._model = model

    def find(self, image: Picture, time_s: float) -> Float32:
        with _TURN:
            found = import_module("mmdet.apis").inference_detector(self._model, _bgr(image))
        people = found.pred_instances.cpu().numpy()
        scores = _array(people.scores) * (people.labels == 0)
        boxes = _array(people.bboxes)
        return boxes[suppress(boxes, scores)]

    def close(self) -> None: ...


def _estimate(model: Any, image: Picture, boxes: Float32) -> list[Person]:
    """The people in n boxes, all in one call of the model."""
    with _TURN:
        samples = _apis().inference_topdown(model, _bgr(image), boxes)
    found = [sample.pred_instances for sample in samples]
    xy = np.concatenate([_array(one.keypoints) for one in found])
    score = np.concatenate([_array(one.keypoint_scores) for one in found])
    return seen_people(xy, score, Path(model.cfg.filename).stem)


def _array(values: Any) -> Float32:
    return np.asarray(values, np.float32)


def _bgr(image: Picture) -> Picture:
    return np.ascontiguousarray(image[..., ::-1])


def _apis() -> Any:
    return import_module("mmpose.apis")


def _import_all() -> None:
    """All of MMPose and MMDetection, so that nothing is left to be imported later."""
    try:
        with stand_ins(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old ways of torch's and setuptools'
            for package in ("mmdet", "mmpose"):
                import_module(f"{package}.apis")
                import_module(f"{package}.utils").register_all_modules(False)
            # else it remarks on each change between its packages, twice a picture
            import_module("mmengine.logging").MMLogger.get_current_instance().setLevel("ERROR")
    except (ImportError, OSError, AssertionError) as error:
        # versions that do not fit each other end in an assertion
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


def _config_file(asked: str) -> Path:
    """A path, the name of one of MMPose's configs, or its short word for one."""
    if asked.endswith(".py") and Path(asked).expanduser().is_file():
        return Path(asked).expanduser()
    utils = import_module("mmpose.apis.inferencers.utils")
    aliases: dict[str, str] = utils.get_model_aliases("mmpose")
    name = aliases.get(asked, asked).removesuffix(".py")
    found = [f for f in (_configs("mmpose") / "configs").rglob("*.py") if f.stem == name]
    if not found:
        raise InvalidInput(
            f"mmpose has no config {asked[:200]!r}; expected a file, the name of one of its "
            f"configs, or one of {', '.join(sorted(aliases))}",
            ("detector",),
        )
    return found[0]


def _published_weights(config: Path) -> Path:
    """The checkpoint that MMPose lists for one of its own configs."""
    own = _configs("mmpose") / "configs"
    if not config.is_relative_to(own):
        raise InvalidInput(
            f"{config.name} needs a checkpoint, as in mmpose:{config.name},CHECKPOINT",
            ("detector",),
        )
    hub = import_module("mmengine.hub")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an old way of setuptools'
            url = hub.get_config(f"mmpose::{config.relative_to(own)}", pretrained=True).model_path
    except (ValueError, AttributeError, KeyError) as error:
        raise DetectorUnavailable(f"MMPose publishes no weights for {config.stem}") from error
    return fetched(url)


def _weights(asked: str, config: Path) -> Path:
    return _weights_file(asked) if asked else _published_weights(config)


def _weights_file(asked: str) -> Path:
    if asked.startswith(("https://", "http://")):
        url, _, sha256 = asked.partition("#sha256=")
        return fetched(url, sha256)
    path = Path(asked).expanduser()
    if not path.is_file():
        raise InvalidInput(f"no such checkpoint file: {asked}", ("detector",))
    return path


def _open_boxes(asked: DetectorName, max_people: int, device: str) -> BoxFinder:
    """MMPose's own person detector where nothing is said, `mmdet:CONFIG;CHECKPOINT`, or what any
    top-down detector takes."""
    if not asked.boxes:
        defaults = import_module("mmpose.apis.inferencers.utils.default_det_models")
        own = defaults.default_det_models["human"]
        return MMDetBoxes(opened("mmdet", Path(own["model"]), fetched(own["weights"]), device))
    if asked.boxes.startswith("mmdet:"):
        config, _, weights = asked.boxes.removeprefix("mmdet:").partition(";")
        model = opened("mmdet", Path(config).expanduser(), _weights_file(weights), device)
        return MMDetBoxes(model)
    return open_boxes(asked, max_people, device)


def _skeleton(asked: DetectorName, config: Path, meta: Mapping[str, Any]) -> Skeleton:
    """Ours that has the same joints in the same order, as far as the conversion uses them."""
    names = [name for _, name in sorted(meta.get("keypoint_id2name", {}).items())]
    meant = [skeleton_named(asked.joints)] if asked.joints else SKELETONS.values()
    for skeleton in meant:
        fits = len(names) == len(skeleton.joints)
        if fits and (asked.joints or _agree(names, skeleton)):
            return skeleton
    raise DetectorUnavailable(
        f"{config.stem} answers in the joints of {meta.get('dataset_name')} "
        f"({len(names)}: {', '.join(names[:4])}, ...), which cannot be turned into H36M-17 as "
        f"{asked.joints or ', '.join(SKELETONS)}"
    )


def _agree(names: Sequence[str], skeleton: Skeleton) -> bool:
    theirs = _THEIR_NAMES.get(skeleton.name, {})
    used = {joint for recipes in skeleton.h36m17.values() for recipe in recipes for joint in recipe}
    return all(names[skeleton.index(joint)] == theirs.get(joint, joint) for joint in used)
