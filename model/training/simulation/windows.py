"""Recordings -> training windows: network inputs and targets.

recordings -> varied bodies -> detector keypoints -> camera -> detection noise -> to_h36m17
-> person_input; the last two steps are the service's own code.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from model.keypoints.joint_sets import COCO17
from model.keypoints.skeleton import H36M17, to_h36m17
from model.lifting.camera import person_input, pixels_to_rays, turn, whole_image
from model.training.recordings import Recordings
from model.training.simulation.bodies import detector_points, vary_build
from model.training.simulation.cameras import CameraRanges, Cameras, Draw, draw_cameras
from model.training.simulation.detections import Detections, Noise, detect


class Batch(NamedTuple):
    """inputs (B, f, 17, 6); targets (B, f, 17, 3) m in each frame's turned axes."""

    inputs: Tensor
    targets: Tensor


class Observation(NamedTuple):
    """Simulated keypoints: points (B, f, 17, 2) in long sides with score (B, f, 17); the true
    joints (B, f, 17, 3) m in camera axes; and the cameras."""

    points: Tensor
    score: Tensor
    joints: Tensor
    cameras: Cameras


def prepare(observation: Observation) -> Batch:
    """The lifter's input for an observation, and the target in the lifter's output axes."""
    cameras = observation.cameras
    size, focal = cameras.image_size, cameras.assumed_focal[:, None]
    rays = pixels_to_rays(observation.points, size[:, None, None], focal[..., None, None])
    prepared = person_input(rays, observation.score, whole_image(size, focal))
    relative = observation.joints - observation.joints[:, :, :1]
    return Batch(prepared.channels, turn(relative, prepared.rotation))


@dataclass(frozen=True)
class Simulation:
    """Parameters of simulated windows. `detector` is the share of windows with detector keypoints
    instead of the recorded joints; `own_weight` is the sampling weight of people's own skeletons
    relative to rebuilt ones; `prepare` makes the network's input (replaced in ablations)."""

    cameras: CameraRanges = field(default_factory=CameraRanges)
    noise: Noise = field(default_factory=Noise)
    detector: float = 0.65
    vary_build: bool = True
    mirror: bool = True
    fps: tuple[float, float] = (24.0, 60.0)
    speed: tuple[float, float] = (0.8, 1.25)
    repeat_first: float = 0.15
    repeat_last: float = 0.10
    own_weight: float = 2.0
    prepare: Callable[[Observation], Batch] = prepare

    def without_errors(self) -> "Simulation":
        """True 2D of the recorded joints, at the recorded speed."""
        plain = replace(self.cameras, focal_unknown=0.0)
        return replace(self.for_evaluation(), cameras=plain, noise=Noise.none(), detector=0.0)

    def for_evaluation(self) -> "Simulation":
        """Simulated detections of the recorded bodies, at the recorded speed."""
        return replace(
            self,
            vary_build=False,
            mirror=False,
            speed=(1.0, 1.0),
            repeat_first=0.0,
            repeat_last=0.0,
        )


def evaluation_conditions() -> dict[str, Simulation]:
    """Name -> simulation: the conditions that errors are reported for."""
    simulation = Simulation()
    return {
        "true 2D": simulation.without_errors(),
        "simulated detections": simulation.for_evaluation(),
    }


def batches(
    recordings: Recordings,
    simulation: Simulation,
    *,
    frames: int,
    frame_step: int,
    batch: int,
    generator: torch.Generator,
) -> Iterator[Batch]:
    """Endless random windows of f frames, `frame_step` video frames apart."""
    weights = recordings.length * torch.tensor(
        [simulation.own_weight if own else 1.0 for own in recordings.own_skeleton],
        device=recordings.length.device,
    )
    while True:
        sequence = torch.multinomial(weights, batch, replacement=True, generator=generator)
        draw = Draw(batch, weights.device, generator)
        fps = draw.uniform(*simulation.fps)
        speed = draw.uniform(*simulation.speed)
        step = recordings.fps[sequence] * speed / fps * frame_step
        centre = draw.uniform(0, 1) * (recordings.length[sequence] - 1)
        offsets = torch.arange(frames, device=weights.device) - frames // 2
        joints = recordings.at(sequence, centre[:, None] + offsets * step[:, None])
        observation = observe(joints, fps / frame_step, simulation, draw, generator)
        yield _repeat_ends(simulation.prepare(observation), simulation, draw)


def observe(
    joints: Tensor,
    fps: Tensor,
    simulation: Simulation,
    draw: Draw,
    generator: torch.Generator,
) -> Observation:
    """Simulate cameras and detections of world joints (B, f, 17, 3) m at fps (B,)."""
    if simulation.mirror:
        joints = torch.where(draw.chance(0.5)[:, None, None, None], _mirrored(joints), joints)
    if simulation.vary_build:
        joints = vary_build(joints, draw)
    cameras = draw_cameras(joints, fps, simulation.cameras, generator)
    xyz = cameras.to_camera(joints)
    exact = _detect(xyz, H36M17.joints, cameras, fps, simulation.noise, draw)
    points, score = exact.points, exact.score
    if simulation.detector > 0:
        coco_xyz = cameras.to_camera(detector_points(joints, draw))
        coco = _detect(coco_xyz, COCO17.joints, cameras, fps, simulation.noise, draw)
        converted, converted_score = to_h36m17(coco.points, coco.score, COCO17)
        chosen = draw.chance(simulation.detector)[:, None, None]
        points = torch.where(chosen[..., None], converted, points)
        score = torch.where(chosen, converted_score, score)
    return Observation(points, score, xyz, cameras)


def _detect(
    xyz: Tensor, joints: tuple[str, ...], cameras: Cameras, fps: Tensor, noise: Noise, draw: Draw
) -> Detections:
    points, depth = cameras.project(xyz), xyz[..., 2]
    return detect(points, depth, cameras.image_size, fps, joints, noise, draw)


def _mirrored(joints: Tensor) -> Tensor:
    swapped = joints[:, :, list(H36M17.mirror)]
    return torch.cat([-swapped[..., :1], swapped[..., 1:]], dim=-1)


def _repeat_ends(batch: Batch, simulation: Simulation, draw: Draw) -> Batch:
    """Repeat the first or last frame in some windows, as at the ends of a video."""
    frames = batch.inputs.shape[1]
    half = frames // 2
    if half == 0:
        return batch
    time = torch.arange(frames, device=batch.inputs.device).expand(len(batch.inputs), -1)
    first = draw.whole(1, half + 1) * draw.chance(simulation.repeat_first)
    last = frames - 1 - draw.whole(1, half + 1) * draw.chance(simulation.repeat_last)
    index = time.maximum(first[:, None]).minimum(last[:, None])[..., None, None]
    return Batch(*(torch.take_along_dim(part, index, dim=1) for part in batch))
