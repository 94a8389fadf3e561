"""Files of other tools with 2D keypoints -> one person's KeypointSequence: docs/formats.md."""

from model.formats.keypoint_files.coco import read_coco
from model.formats.keypoint_files.npz import read_keypoints_npz
from model.formats.keypoint_files.openpose import read_openpose
from model.formats.keypoint_files.people import FiledKeypoints, Given

__all__ = ["FiledKeypoints", "Given", "read_coco", "read_keypoints_npz", "read_openpose"]
