"""Recordings -> what the network reads and what it should answer.

recordings -> varied bodies -> a detector's points -> a camera -> a detector's errors
-> to_h36m17 -> person_input: the last two are the service's own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from model.keypoints.joint_sets import COCO17
from model.keypoints.skeleton import H36M17, to_h36m17
from model.lifting.camera import person_input, pixels_to_rays, turn, whole_picture
from model.training.recordings import Recordings
from model.training.simulation.bodies import detector_points, vary_build
from model.training.simulation.cameras import CameraRanges, Cameras, Draw, draw_cameras
from model.training.simulation.detections import Detections, Noise, detect


class Batch(NamedTuple):
    """inputs (B, f, 17, 6); targets (B, f, 17, 3) m in each frame's own turned axes."""

    inputs: Tensor
    targets: Tensor


class Sight(NamedTuple):
    """One camera's view: 2D (B, f, 17, 2) long sides with score (B, f, 17), the true joints
    (B, f, 17, 3) m in camera axes, and the camera."""

    points: Tensor
    score: Tensor
    joints: Tensor
    cameras: Cameras


def prepare(sight: Sight) -> Batch:
    """The lifter's own input of a view, and the target in the axes that it answers in."""
    cameras = sight.cameras
    size, focal = cameras.image_size, cameras.assumed_focal[:, None]
    rays = pixels_to_rays(sight.points, size[:, None, None], focal[..., None, None])
    seen = person_input(rays, sight.score, whole_picture(size, focal))
    relative = sight.joints - sight.joints[:, :, :1]
    return Batch(seen.channels, turn(relative, seen.rotation))


@dataclass(frozen=True)
class Simulation:
    """How windows are made. `detector` is the share whose 2D are a detector's points rather than
    the recorded joints themselves; `own_weight` is how often a frame of a person's own skeleton
    is drawn, against one of a rebuilt skeleton; `prepare` is the service's own preparation but for
    an ablation."""

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
    prepare: Callable[[Sight], Batch] = prepare

    def without_errors(self) -> "Simulation":
        """True 2D of the recorded joints, as they are, at the recorded pace."""
        plain = replace(self.cameras, focal_unknown=0.0)
        return replace(self.for_evaluation(), cameras=plain, noise=Noise.none(), detector=0.0)

    def for_evaluation(self) -> "Simulation":
        """Simulated detections of the recorded bodies, at the recorded pace."""
        return replace(
            self,
            vary_build=False,
            mirror=False,
            speed=(1.0, 1.0),
            repeat_first=0.0,
            repeat_last=0.0,
        )


def evaluation_conditions() -> dict[str, Simulation]:
    """What errors are stated for."""
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
    """Endless random windows of f frames, `frame_step` frames of the picture apart."""
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
        sight = look(joints, fps / frame_step, simulation, draw, generator)
        yield _repeat_ends(simulation.prepare(sight), simulation, draw)


def look(
    joints: Tensor,
    fps: Tensor,
    simulation: Simulation,
    draw: Draw,
    generator: torch.Generator,
) -> Sight:
    """Film world joints (B, f, 17, 3) m at fps (B,) and detect the person."""
    if simulation.mirror:
        joints = torch.where(draw.chance(0.5)[:, None, None, None], _mirrored(joints), joints)
    if simulation.vary_build:
        joints = vary_build(joints, draw)
    cameras = draw_cameras(joints, fps, simulation.cameras, generator)
    xyz = cameras.see(joints)
    exact = _detect(xyz, H36M17.joints, cameras, fps, simulation.noise, draw)
    points, score = exact.points, exact.score
    if simulation.detector > 0:
        marks = cameras.see(detector_points(joints, draw))
        marked = _detect(marks, COCO17.joints, cameras, fps, simulation.noise, draw)
        built, built_score = to_h36m17(marked.points, marked.score, COCO17)
        chosen = draw.chance(simulation.detector)[:, None, None]
        points = torch.where(chosen[..., None], built, points)
        score = torch.where(chosen, built_score, score)
    return Sight(points, score, xyz, cameras)


def _detect(
    xyz: Tensor, joints: tuple[str, ...], cameras: Cameras, fps: Tensor, noise: Noise, draw: Draw
) -> Detections:
    points, depth = cameras.project(xyz), xyz[..., 2]
    return detect(points, depth, cameras.image_size, fps, joints, noise, draw)


def _mirrored(joints: Tensor) -> Tensor:
    swapped = joints[:, :, list(H36M17.mirror)]
    return torch.cat([-swapped[..., :1], swapped[..., 1:]], dim=-1)


def _repeat_ends(batch: Batch, simulation: Simulation, draw: Draw) -> Batch:
    """Windows at a clip's ends, where the first or last frame stands in for those beyond."""
    frames = batch.inputs.shape[1]
    half = frames // 2
    if half == 0:
        return batch
    time = torch.arange(frames, device=batch.inputs.device).expand(len(batch.inputs), -1)
    first = draw.whole(1, half + 1) * draw.chance(simulation.repeat_first)
    last = frames - 1 - draw.whole(1, half + 1) * draw.chance(simulation.repeat_last)
    index = time.maximum(first[:, None]).minimum(last[:, None])[..., None, None]
    return Batch(*(torch.take_along_dim(part, index, dim=1) for part in batch))
