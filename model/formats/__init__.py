"""Results written as files for other tools, and keypoints read from files of other tools."""
