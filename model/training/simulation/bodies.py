"""Bodies of varied build, and the keypoints on them that a detector would mark.

The joint centres of motion capture differ from the keypoints of detectors: hips are 174 against
202 mm wide, shoulders 380 against 332, shanks 431 against 403 mm long (measured). The offsets are
drawn anew for each window because detectors differ too.
"""

import torch
from torch import Tensor

from model.keypoints.joint_sets import COCO17
from model.keypoints.skeleton import H36M17
from model.training.recordings import CANONICAL_CHAIN_M, chain_length
from model.training.simulation.cameras import Draw

_J = {name: index for index, name in enumerate(H36M17.joints)}
_SIDES = ("left", "right")


def vary_build(joints: Tensor, draw: Draw, proportion: float = 0.08, width: float = 0.15) -> Tensor:
    """The same motion with other bone lengths, at the canonical size: (B, f, 17, 3) m."""
    factors = 1 + draw.uniform(-1, 1, 17) * proportion
    for side in (_J["right_hip"], _J["right_shoulder"]):
        factors[:, side] = 1 + draw.uniform(-1, 1) * width
    mirror = list(H36M17.mirror)
    right = [i for i, name in enumerate(H36M17.joints) if name.startswith("right_")]
    for joint in right:
        factors[:, mirror[joint]] = factors[:, joint]

    varied = [joints[:, :, 0]]
    for joint, parent in enumerate(H36M17.parents[1:], start=1):
        bone = joints[:, :, joint] - joints[:, :, parent]
        varied.append(varied[parent] + bone * factors[:, None, joint, None])
    built = torch.stack(varied, dim=2)
    size = CANONICAL_CHAIN_M / chain_length(built).mean(dim=1)
    root = built[:, :, :1]
    return root + (built - root) * size[:, None, None, None]


def detector_points(joints: Tensor, draw: Draw) -> Tensor:
    """COCO-17 points on H36M-17 bodies: (B, f, 17, 3) m -> (B, f, 17, 3) m."""
    points = {
        f"{side}_{limb}": joints[:, :, _J[f"{side}_{limb}"]]
        for side in _SIDES
        for limb in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    }
    pelvis = joints[:, :, _J["hip"]]
    up = _unit(joints[:, :, _J["thorax"]] - pelvis)
    for limb, width, spread in (("hip", 1.16, 0.10), ("shoulder", 0.88, 0.06)):
        _shift_pair(points, limb, draw.normal(width, spread), draw.normal(0, 0.015), up)
    _shift_along(points, "ankle", "knee", draw.normal(0.935, 0.03))
    _shift_along(points, "wrist", "elbow", draw.normal(1.0, 0.04))
    points |= _face(joints, draw)

    stacked = torch.stack([points[name] for name in COCO17.joints], dim=2)
    return stacked + _body_bias(joints, draw, spread=0.010)


def _shift_pair(
    points: dict[str, Tensor], limb: str, width: Tensor, rise: Tensor, up: Tensor
) -> None:
    """Scale a pair of joints about its midpoint by `width` (B,), raise both by `rise` (B,) m."""
    left, right = (points[f"{side}_{limb}"] for side in _SIDES)
    middle, half = (left + right) / 2, (left - right) / 2 * width[:, None, None]
    lifted = middle + up * rise[:, None, None]
    points[f"left_{limb}"], points[f"right_{limb}"] = lifted + half, lifted - half


def _shift_along(points: dict[str, Tensor], end: str, start: str, share: Tensor) -> None:
    """Move a limb's end to `share` (B,) of its length."""
    for side in _SIDES:
        origin = points[f"{side}_{start}"]
        bone = points[f"{side}_{end}"] - origin
        points[f"{side}_{end}"] = origin + bone * share[:, None, None]


def _face(joints: Tensor, draw: Draw) -> dict[str, Tensor]:
    """Nose, eyes and ears in a head frame that faces as the shoulders do, with random yaw."""
    neck, head = joints[:, :, _J["neck_nose"]], joints[:, :, _J["head"]]
    up = _unit(head - neck)
    across = joints[:, :, _J["right_shoulder"]] - joints[:, :, _J["left_shoulder"]]
    right = _unit(across - (across * up).sum(-1, keepdim=True) * up)
    ahead = torch.linalg.cross(up, right)
    yaw = draw.normal(0, 0.45)[:, None, None]
    right, ahead = right * yaw.cos() + ahead * yaw.sin(), ahead * yaw.cos() - right * yaw.sin()
    metres = draw.normal(1.0, 0.06)[:, None, None]

    def at(sideways: float, forward: float, above: float) -> Tensor:
        return neck + (right * sideways + ahead * forward + up * above) * metres

    return {
        "nose": at(0.0, 0.10, 0.02),
        "left_eye": at(-0.03, 0.085, 0.055),
        "right_eye": at(0.03, 0.085, 0.055),
        "left_ear": at(-0.075, 0.01, 0.03),
        "right_ear": at(0.075, 0.01, 0.03),
    }


def _body_bias(joints: Tensor, draw: Draw, spread: float) -> Tensor:
    """A constant offset of each point in body axes: (B, f, 17, 3) m."""
    up = _unit(joints[:, :, _J["thorax"]] - joints[:, :, _J["hip"]])
    across = joints[:, :, _J["right_hip"]] - joints[:, :, _J["left_hip"]]
    right = _unit(across - (across * up).sum(-1, keepdim=True) * up)
    axes = torch.stack([right, up, torch.linalg.cross(up, right)], dim=2)  # (B, f, 3, 3) rows
    return draw.normal(0, spread, 1, 17, 3) @ axes


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=1e-6)
