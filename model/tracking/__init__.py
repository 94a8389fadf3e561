"""Who is who over time, and their 2D keypoints, cleaned."""
