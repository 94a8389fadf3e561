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
    [0.0, 0.0, 0.0],
    [-0.079, -0.024, -0.019],
    [-0.235, 0.356, 0.095],
    [-0.318, 0.573, 0.408],
    [0.08, 0.024, 0.019],
    [0.016, 0.417, 0.055],
    [-0.056, 0.722, 0.296],
    [0.084, -0.193, -0.065],
    [0.219, -0.363, -0.182],
    [0.358, -0.495, -0.238],
    [0.426, -0.54, -0.278],
    [0.402, -0.327, -0.13],
    [0.361, -0.121, 0.041],
    [0.343, 0.137, 0.009],
    [0.108, -0.501, -0.269],
    [-0.1, -0.465, -0.304],
    [-0.094, -0.457, -0.459],
]
_CONFIDENCE = [1.0, *[0.9] * 16]
_ROOT = [-0.212, -0.404, 3.977]
_ROOM = {
    "rotation": [[0.928, 0.373, 0.0], [0.335, -0.833, -0.44], [-0.164, 0.409, -0.898]],
    "camera_height_m": 2.294,
    "assumes": "the camera stands still, standing people are upright, the lowest feet stand",
}
_MODEL = {"name": "poseformer-27", "version": "0.1.0"}

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
    "confidence": [_CONFIDENCE],
    "applied": {
        "readout": "centre",
        "flip": False,
        "smoothing": "none",
        "constant_limbs": False,
        "lift_every": 1,
        "space": "root",
        "repair": False,
        "focal_px": 1920,
        "height_m": 1.7,
        "confidence_within_mm": 100.0,
    },
    "warnings": [],
}
_JOB_ID = "0f3c5a7e9b1d2f4a6c8e0b1d3f5a7c9e"
_JOB_LINKS = {
    "self": f"/jobs/{_JOB_ID}",
    **{name: f"/jobs/{_JOB_ID}/{name}" for name in ("events", "result", "overlay")},
}
VIDEO_REPLY: dict[str, Any] = {
    "id": _JOB_ID,
    "links": _JOB_LINKS,
    "video": {"width": 1080, "height": 1920, "fps": 60.0, "frames": 1, "duration_s": 0.0167},
    "detector": {"name": "mediapipe", "version": "0.10.21"},
    "model": _MODEL,
    "applied": {
        "readout": "centre",
        "flip": False,
        "smoothing": "butterworth",
        "constant_limbs": False,
        "min_length": 0.0,
        "detect_every": 1,
        "lift_every": 1,
        "repair": "gaps of up to 0.5 s bridged, left/right swaps undone",
        "focal_px": 1920.0,
        "focal_from": "assumed",
        "height_m": 1.7,
        "confidence_within_mm": 100.0,
        "space": "root",
    },
    "warnings": [],
    "room": _ROOM,
    "people": [
        {
            "id": 1,
            "frames": [0],
            "times_s": [0.0],
            "bridged": [],
            "keypoints": [_KEYPOINTS],
            "poses": [_POSE],
            "confidence": [_CONFIDENCE],
            "root": [_ROOT],
        }
    ],
}
JOB_REPLY: dict[str, Any] = {
    "id": _JOB_ID,
    "status": "running",
    "progress": {"stage": "detecting", "done": 30, "total": 75, "remaining_s": 3.1},
    "created_at": "2026-01-31T12:00:00+00:00",
    "video": {"width": 854, "height": 480, "fps": 30.0, "frames": 75, "duration_s": 2.5},
    "model": "poseformer-27",
    "options": {
        "detector": "mediapipe",
        "max_people": 4,
        "smoothing": "butterworth",
        "space": "root",
        "detect_every": 1,
        "readout": "centre",
        "flip": False,
        "focal_px": None,
        "height_m": None,
    },
    "links": _JOB_LINKS,
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
