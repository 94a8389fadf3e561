"""Results as files of other tools, and keypoints from files of other tools."""
