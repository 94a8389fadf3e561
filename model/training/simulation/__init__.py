"""Recordings -> simulated cameras and detections: what the network reads and should answer."""
