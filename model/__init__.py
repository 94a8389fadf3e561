"""poselift: video or 2D keypoints in, 3D human poses out.

The public names, grouped by package in the order of the data.
"""

# ruff: noqa: I001, RUF022 - grouped by package

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

from model.runtime.devices import calls_at_once, find_devices, why_no_gpu
from model.runtime.malloc import give_memory_back, limit_heaps
from model.runtime.sessions import GpuOptions

from model.detectors.downloads import download
from model.detectors.installed import check_detector, installed_detectors
from model.detectors.names import DETECTORS, DetectorName, read_name
from model.detectors.opening import Detector, open_detector
from model.detectors.person import Person

from model.tracking.swaps import SwapRepair, SwapRepairs
from model.tracking.tracker import Tracker
from model.tracking.tracks import MAX_BRIDGED_S

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

from model.video.containers import MAX_SIDE_PX, container_of
from model.video.metadata import VideoInfo
from model.video.options import MAX_DETECT_EVERY, VideoOptions
from model.video.pipeline import Progress, lift_keypoints, lift_video, lifting_keypoints
from model.video.reader import Frame, Video, open_video
from model.video.results import PersonMotion, VideoResult
from model.video.watcher import PeopleWatcher

from model.formats.keypoint_files import (
    FiledKeypoints,
    Given,
    read_coco,
    read_keypoints_npz,
    read_openpose,
)
from model.formats.writers import FORMATS, Format, read_npz, write_motion

from model.rendering.overlay import render_overlay
from model.rendering.plot import PLOT_SUFFIXES, plot_motion, plot_suffix

# fmt: off
__all__ = [
    # errors
    "DetectorUnavailable", "DeviceUnavailable", "InvalidInput", "ModelFileError", "NotAVideo",
    "PoseError", "TooLarge", "UnknownName", "UnreadableVideo",
    # files
    "cache_folder", "written_whole",
    # keypoints
    "AIC14", "BLAZEPOSE33", "BODY25", "COCO17", "CROWDPOSE14", "H36M17", "HALPE26",
    "MAX_COORDINATE_PX", "MAX_FPS", "MAX_IMAGE_SIDE_PX", "SKELETONS", "SPACES", "WHOLEBODY133",
    "KeypointSequence", "PoseSequence", "Skeleton", "skeleton_named", "to_h36m17",
    # runtime
    "GpuOptions", "calls_at_once", "find_devices", "give_memory_back", "limit_heaps", "why_no_gpu",
    # detectors
    "DETECTORS", "Detector", "DetectorName", "Person", "check_detector", "download",
    "installed_detectors", "open_detector", "read_name",
    # tracking
    "MAX_BRIDGED_S", "SwapRepair", "SwapRepairs", "Tracker",
    # lifting
    "READOUTS", "TOKENS_A_PASS", "Calibration", "Decode", "Encode", "LiftOptions", "LiftStream",
    "Lifter", "Lifting", "ModelInfo", "Pass", "Poses", "Prepared", "Readouts", "StreamAnswers",
    "Window", "WindowStream", "carry_out", "focal_or_assumed", "known_models", "merge_passes",
    "model_named", "read_manifest", "root_track", "split_answers", "weights_folder",
    # motion
    "ANGLES", "CAUSAL_SMOOTHINGS", "SMOOTHINGS", "MotionOptions", "MotionStream", "OneEuro", "Room",
    "applied", "check_causal", "joint_angles", "keypoint_jitter", "keypoint_warnings",
    "limb_spread", "placed", "rate_warnings", "room_of", "smooth", "space_warnings",
    # video
    "MAX_DETECT_EVERY", "MAX_SIDE_PX", "Frame", "PeopleWatcher", "PersonMotion", "Progress",
    "Video", "VideoInfo", "VideoOptions", "VideoResult", "container_of", "lift_keypoints",
    "lift_video", "lifting_keypoints", "open_video",
    # formats
    "FORMATS", "FiledKeypoints", "Format", "Given", "read_coco", "read_keypoints_npz", "read_npz",
    "read_openpose", "write_motion",
    # rendering
    "PLOT_SUFFIXES", "plot_motion", "plot_suffix", "render_overlay",
]
