"""MMPose models as a detector."""
