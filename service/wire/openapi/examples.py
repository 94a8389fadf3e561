"""Requests and responses shown in /openapi.json; a test compares them with real ones.

The frame shows a man on a balance beam, from Pose2Sim's demo video (BSD 3-Clause, Copyright (c)
David Pagnon and contributors).
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
    [-0.08, -0.022, -0.017],
    [-0.229, 0.359, 0.101],
    [-0.304, 0.573, 0.428],
    [0.081, 0.022, 0.017],
    [0.019, 0.417, 0.011],
    [-0.059, 0.735, 0.232],
    [0.076, -0.202, -0.052],
    [0.211, -0.374, -0.147],
    [0.353, -0.506, -0.198],
    [0.425, -0.547, -0.238],
    [0.388, -0.336, -0.075],
    [0.342, -0.13, 0.125],
    [0.332, 0.126, 0.092],
    [0.097, -0.51, -0.244],
    [-0.108, -0.452, -0.363],
    [-0.076, -0.431, -0.596],
]
_CONFIDENCE = [
    1.0,
    0.999,
    0.871,
    0.734,
    0.999,
    0.832,
    0.6,
    0.992,
    0.961,
    0.92,
    0.805,
    0.872,
    0.863,
    0.734,
    0.947,
    0.578,
    0.243,
]
_ROOT = [-0.205, -0.404, 3.971]
_ROOM = {
    "rotation": [[0.934, 0.356, 0.0], [0.327, -0.857, -0.398], [-0.142, 0.372, -0.917]],
    "camera_height_m": 2.107,
    "assumes": "the camera stands still, standing people are upright, the lowest feet stand",
}
_MODEL = {"name": "poseformer-27", "version": "0.3.1"}

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
        "readout": "centre",
        "flip": False,
        "focal_px": 1100.0,
        "height_m": 1.8,
        "smoothing": "butterworth",
        "constant_limbs": False,
        "space": "root",
        "detector": "mediapipe",
        "max_people": 4,
        "min_length": 0.0,
        "detect_every": 1,
        "repair": True,
        "remove_outliers": False,
    },
    "links": _JOB_LINKS,
}
_BAD_VALUE = "keypoints[1][5][0]: a coordinate must be between -1e6 and 1e6 px, got 1e+300"
PROBLEM: dict[str, Any] = {
    "type": "urn:poselift:problem:invalid-value",
    "title": "Invalid value",
    "status": 422,
    "detail": _BAD_VALUE,
    "errors": [
        {
            "location": ["keypoints", 1, 5, 0],
            "detail": _BAD_VALUE,
        }
    ],
}
