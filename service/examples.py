"""Requests and replies shown in /openapi.json: a frame of a man on a balance beam (from Pose2Sim's
demo video, BSD 3-Clause, Copyright (c) David Pagnon and contributors), as the service answers it.
The millimetres differ from model to model.
"""

from typing import Any

_KEYPOINTS = [
    [436.1, 768.5, 1.0],
    [390.2, 753.4, 1.0],
    [327.0, 942.6, 0.99],
    [319.5, 1025.6, 0.93],
    [481.9, 783.7, 1.0],
    [456.6, 966.1, 1.0],
    [415.4, 1098.7, 0.98],
    [484.8, 673.5, 1.0],
    [538.9, 568.1, 1.0],
    [625.8, 489.6, 1.0],
    [670.8, 457.3, 1.0],
    [618.4, 589.9, 1.0],
    [609.0, 709.5, 0.97],
    [600.6, 829.8, 0.98],
    [485.8, 494.8, 1.0],
    [374.4, 500.5, 1.0],
    [370.7, 511.0, 1.0],
]
_POSE = [
    [0.001, -0.001, -0.001],
    [-0.082, -0.023, -0.023],
    [-0.228, 0.37, 0.013],
    [-0.357, 0.604, 0.275],
    [0.084, 0.024, 0.021],
    [0.037, 0.428, 0.0],
    [-0.054, 0.759, 0.18],
    [0.086, -0.201, -0.046],
    [0.229, -0.374, -0.152],
    [0.363, -0.511, -0.214],
    [0.432, -0.569, -0.256],
    [0.423, -0.338, -0.088],
    [0.375, -0.106, 0.05],
    [0.357, 0.155, -0.031],
    [0.108, -0.515, -0.252],
    [-0.099, -0.49, -0.315],
    [-0.083, -0.494, -0.45],
]
_MODEL = {"name": "poseformer-27", "version": "1.0.0"}

LIFT_BODY: dict[str, Any] = {
    "keypoints": [_KEYPOINTS],
    "skeleton": "h36m17",
    "image_size": [1080, 1920],
    "fps": 60,
}
LIFT_REPLY: dict[str, Any] = {
    "model": _MODEL,
    "skeleton": "h36m17",
    "frames": [0],
    "poses": [_POSE],
    "keypoints": [_KEYPOINTS],
    "final": [True],
    "applied": {
        "readout": "centre",
        "flip": False,
        "smoothing": "none",
        "repair": False,
        "focal_px": 1920,
        "height_m": 1.7,
    },
    "warnings": [],
}
VIDEO_REPLY: dict[str, Any] = {
    "video": {"width": 1080, "height": 1920, "fps": 60.0, "frames": 1, "duration_s": 0.0167},
    "detector": {"name": "mediapipe", "version": "0.10.21"},
    "model": _MODEL,
    "applied": {
        "readout": "centre",
        "flip": False,
        "smoothing": "butterworth",
        "repair": "gaps of up to 0.5 s bridged",
        "focal_px": 1920,
        "height_m": 1.7,
    },
    "warnings": [],
    "people": [
        {"id": 1, "frames": [0], "times_s": [0.0], "keypoints": [_KEYPOINTS], "poses": [_POSE]}
    ],
}
PROBLEM: dict[str, Any] = {
    "type": "urn:poselift:problem:invalid-value",
    "title": "Invalid value",
    "status": 422,
    "detail": "keypoints[1][5][0]: a coordinate lies in -1e6..1e6 px, got 1e+300",
    "errors": [
        {
            "location": ["keypoints", 1, 5, 0],
            "detail": "keypoints[1][5][0]: a coordinate lies in -1e6..1e6 px, got 1e+300",
        }
    ],
}
