"""Skeletons, joint sets, and sequences of 2D keypoints and 3D poses."""
