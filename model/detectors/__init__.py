"""A picture -> the 2D keypoints of the people in it."""
