"""poselift: video or 2D keypoints in, 3D human poses out. The public names, in the order data
meets them."""

from model.errors import (
    DetectorUnavailable,
    DeviceUnavailable,
    InvalidInput,
    ModelFileError,
    NotAVideo,
    PoseError,
    TooLarge,
    UnknownName,
    UnreadableVideo,
)
from model.lifter import READOUTS, Lifter, LiftOptions, Prepared, Readouts
from model.model_files import ModelInfo, known_models, model_named, read_manifest, weights_folder
from model.sequences import (
    MAX_COORDINATE_PX,
    MAX_FPS,
    MAX_IMAGE_SIDE_PX,
    KeypointSequence,
    PoseSequence,
)
from model.skeleton import (
    BLAZEPOSE33,
    BODY25,
    COCO17,
    H36M17,
    HALPE26,
    SKELETONS,
    Skeleton,
    skeleton_named,
    to_h36m17,
)
from model.window import Window, WindowStream

__all__ = [
    "BLAZEPOSE33",
    "BODY25",
    "COCO17",
    "H36M17",
    "HALPE26",
    "MAX_COORDINATE_PX",
    "MAX_FPS",
    "MAX_IMAGE_SIDE_PX",
    "READOUTS",
    "SKELETONS",
    "DetectorUnavailable",
    "DeviceUnavailable",
    "InvalidInput",
    "KeypointSequence",
    "LiftOptions",
    "Lifter",
    "ModelFileError",
    "ModelInfo",
    "NotAVideo",
    "PoseError",
    "PoseSequence",
    "Prepared",
    "Readouts",
    "Skeleton",
    "TooLarge",
    "UnknownName",
    "UnreadableVideo",
    "Window",
    "WindowStream",
    "known_models",
    "model_named",
    "read_manifest",
    "skeleton_named",
    "to_h36m17",
    "weights_folder",
]
