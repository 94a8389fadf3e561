"""A video file -> the 3D poses of everybody in it."""
