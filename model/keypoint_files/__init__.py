"""2D keypoints in other tools' files -> one person's KeypointSequence. See docs/formats.md."""

from model.keypoint_files.coco import read_coco
from model.keypoint_files.npz import read_keypoints_npz
from model.keypoint_files.openpose import read_openpose
from model.keypoint_files.people import FiledKeypoints, Given

__all__ = ["FiledKeypoints", "Given", "read_coco", "read_keypoints_npz", "read_openpose"]
