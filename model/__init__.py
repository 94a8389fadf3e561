"""poselift: video or 2D keypoints in, 3D human poses out. The public names, in the order data
meets them."""

from model.detectors.downloads import download
from model.detectors.installed import check_detector, installed_detectors
from model.detectors.names import DETECTORS, DetectorName, read_name
from model.detectors.opening import Detector, open_detector
from model.detectors.person import Person
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
from model.files import cache_folder, written_whole
from model.formats.keypoint_files import (
    FiledKeypoints,
    Given,
    read_coco,
    read_keypoints_npz,
    read_openpose,
)
from model.formats.writers import FORMATS, Format, read_npz, write_motion
from model.keypoints.joint_sets import (
    AIC14,
    BLAZEPOSE33,
    BODY25,
    COCO17,
    CROWDPOSE14,
    HALPE26,
    SKELETONS,
    WHOLEBODY133,
    skeleton_named,
)
from model.keypoints.sequences import (
    MAX_COORDINATE_PX,
    MAX_FPS,
    MAX_IMAGE_SIDE_PX,
    SPACES,
    KeypointSequence,
    PoseSequence,
)
from model.keypoints.skeleton import H36M17, Skeleton, to_h36m17
from model.lifting.confidence import Calibration
from model.lifting.lifter import Lifter, Prepared
from model.lifting.model_files import (
    ModelInfo,
    known_models,
    model_named,
    read_manifest,
    weights_folder,
)
from model.lifting.options import READOUTS, LiftOptions
from model.lifting.passes import (
    TOKENS_A_PASS,
    Decode,
    Encode,
    Lifting,
    Pass,
    Readouts,
    carry_out,
    merge_passes,
    split_answers,
)
from model.lifting.root import focal_or_assumed, root_track
from model.lifting.stream import LiftStream, Poses, StreamAnswers
from model.lifting.window import Window, WindowStream
from model.motion.angles import ANGLES, joint_angles
from model.motion.chain import (
    MotionOptions,
    MotionStream,
    applied,
    check_causal,
    keypoint_warnings,
    rate_warnings,
)
from model.motion.smoothing import CAUSAL_SMOOTHINGS, SMOOTHINGS, OneEuro, smooth
from model.motion.steadiness import keypoint_jitter, limb_spread
from model.motion.world import Room, placed, room_of, space_warnings
from model.rendering.overlay import render_overlay
from model.rendering.plot import PLOT_SUFFIXES, plot_motion, plot_suffix
from model.runtime.devices import calls_at_once, find_devices, why_no_gpu
from model.runtime.malloc import give_memory_back, limit_heaps
from model.runtime.sessions import GpuOptions
from model.tracking.swaps import SwapRepair, SwapRepairs
from model.tracking.tracker import Tracker
from model.tracking.tracks import MAX_BRIDGED_S
from model.video.options import MAX_DETECT_EVERY, VideoOptions
from model.video.pipeline import Progress, lift_keypoints, lift_video, lifting_keypoints
from model.video.reader import MAX_SIDE_PX, Frame, Video, VideoInfo, container_of, open_video
from model.video.results import PersonMotion, VideoResult
from model.video.watcher import PeopleWatcher

__all__ = [
    "AIC14",
    "ANGLES",
    "BLAZEPOSE33",
    "BODY25",
    "CAUSAL_SMOOTHINGS",
    "COCO17",
    "CROWDPOSE14",
    "DETECTORS",
    "FORMATS",
    "H36M17",
    "HALPE26",
    "MAX_BRIDGED_S",
    "MAX_COORDINATE_PX",
    "MAX_DETECT_EVERY",
    "MAX_FPS",
    "MAX_IMAGE_SIDE_PX",
    "MAX_SIDE_PX",
    "PLOT_SUFFIXES",
    "READOUTS",
    "SKELETONS",
    "SMOOTHINGS",
    "SPACES",
    "TOKENS_A_PASS",
    "WHOLEBODY133",
    "Calibration",
    "Decode",
    "Detector",
    "DetectorName",
    "DetectorUnavailable",
    "DeviceUnavailable",
    "Encode",
    "FiledKeypoints",
    "Format",
    "Frame",
    "Given",
    "GpuOptions",
    "InvalidInput",
    "KeypointSequence",
    "LiftOptions",
    "LiftStream",
    "Lifter",
    "Lifting",
    "ModelFileError",
    "ModelInfo",
    "MotionOptions",
    "MotionStream",
    "NotAVideo",
    "OneEuro",
    "Pass",
    "PeopleWatcher",
    "Person",
    "PersonMotion",
    "PoseError",
    "PoseSequence",
    "Poses",
    "Prepared",
    "Progress",
    "Readouts",
    "Room",
    "Skeleton",
    "StreamAnswers",
    "SwapRepair",
    "SwapRepairs",
    "TooLarge",
    "Tracker",
    "UnknownName",
    "UnreadableVideo",
    "Video",
    "VideoInfo",
    "VideoOptions",
    "VideoResult",
    "Window",
    "WindowStream",
    "applied",
    "cache_folder",
    "calls_at_once",
    "carry_out",
    "check_causal",
    "check_detector",
    "container_of",
    "download",
    "find_devices",
    "focal_or_assumed",
    "give_memory_back",
    "installed_detectors",
    "joint_angles",
    "keypoint_jitter",
    "keypoint_warnings",
    "known_models",
    "lift_keypoints",
    "lift_video",
    "lifting_keypoints",
    "limb_spread",
    "limit_heaps",
    "merge_passes",
    "model_named",
    "open_detector",
    "open_video",
    "placed",
    "plot_motion",
    "plot_suffix",
    "rate_warnings",
    "read_coco",
    "read_keypoints_npz",
    "read_manifest",
    "read_name",
    "read_npz",
    "read_openpose",
    "render_overlay",
    "room_of",
    "root_track",
    "skeleton_named",
    "smooth",
    "space_warnings",
    "split_answers",
    "to_h36m17",
    "weights_folder",
    "why_no_gpu",
    "write_motion",
    "written_whole",
]
