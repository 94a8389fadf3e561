"""Recordings -> simulated cameras and detections -> training windows."""
