"""MediaPipe as a detector."""
