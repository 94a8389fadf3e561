"""2D keypoints -> 3D poses through a PoseFormer model file."""
