"""Videos of data sets, 2D keypoints with true 3D joints, as training windows or evaluation clips.

The network's input is made by the service's own functions, once per video: a frame's input depends
on that frame (and earlier boxes) alone, so windows are rows of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.errors import InvalidInput
from model.keypoints.sequences import KeypointSequence
from model.keypoints.skeleton import H36M17
from model.lifting.camera import (
    image_input,
    mirror_input,
    mirror_pose,
    person_input,
    pixels_to_rays,
    turn,
    whole_image,
)
from model.training.evaluation.errors import Clip
from model.training.recordings import CANONICAL_CHAIN_M, chain_length
from model.training.simulation.windows import Batch

Floats = NDArray[np.floating[Any]]
Normalisation = Literal["person", "image"]


@dataclass(frozen=True)
class DatasetVideo:
    """One person seen by one camera over T frames.

    keypoints: H36M-17 in pixels; xyz (T, 17, 3) m in camera axes; focal_px is None if unknown;
    valid (T,) marks frames with valid truth. Raises InvalidInput naming the video and the fault.
    """

    name: str
    subject: str
    action: str
    camera: str
    keypoints: KeypointSequence
    xyz: Floats
    focal_px: float | None
    valid: NDArray[np.bool_]

    def __post_init__(self) -> None:
        shape = (len(self.keypoints), len(H36M17.joints), 3)
        if self.xyz.shape != shape or self.valid.shape != shape[:1]:
            raise InvalidInput(
                f"{self.name}: {shape[0]} frames of 2D need xyz {shape} and valid {shape[:1]}, got "
                f"{self.xyz.shape} and {self.valid.shape}"
            )
        if not np.isfinite(self.xyz[self.valid]).all():
            raise InvalidInput(f"{self.name}: joints must be finite, got NaN")
        if not self.valid.any():
            raise InvalidInput(f"{self.name}: no frame is valid")

    @property
    def relative(self) -> Floats:
        """Joints relative to the pelvis, (T, 17, 3) m."""
        return self.xyz - self.xyz[:, :1]

    @property
    def size(self) -> float:
        """The person's size relative to the canonical one."""
        bodies = torch.from_numpy(self.xyz[self.valid][::10].astype(np.float32))
        return float(chain_length(bodies).median()) / CANONICAL_CHAIN_M


@dataclass(frozen=True)
class _Rows:
    """All videos concatenated: inputs (N, 17, C), targets (N, 17, 3) m; indices of valid frames,
    and for each frame the first and last frame of its video."""

    inputs: Tensor
    targets: Tensor
    valid: Tensor
    first: Tensor
    last: Tensor


def video_batches(
    videos: Sequence[DatasetVideo],
    normalisation: Normalisation,
    *,
    frames: int,
    frame_step: int = 1,
    batch: int,
    mirror: bool = True,
    generator: torch.Generator,
    device: torch.device | None = None,
) -> Iterator[Batch]:
    """Endless random windows of f frames, `frame_step` video frames apart, around valid frames; the
    first and last frame are repeated beyond a video's ends.

    `image` is the published checkpoints' input: C = 2, targets in metres in camera axes. `person`
    is ours: C = 6, targets turned to the person, at the canonical body size.
    """
    rows = _rows(videos, normalisation, device or torch.device("cpu"))
    offsets = (torch.arange(frames, device=rows.valid.device) - frames // 2) * frame_step
    while True:
        picked = torch.randint(
            len(rows.valid), (batch,), generator=generator, device=rows.valid.device
        )
        centre = rows.valid[picked][:, None]
        index = (centre + offsets).maximum(rows.first[centre]).minimum(rows.last[centre])
        inputs, targets = rows.inputs[index], rows.targets[index]
        if mirror:
            coin = torch.rand(batch, generator=generator, device=rows.valid.device) < 0.5
            turned = coin[:, None, None, None]
            inputs = torch.where(turned, mirror_input(inputs), inputs)
            targets = torch.where(turned, mirror_pose(targets), targets)
        yield Batch(inputs, targets)


def video_clips(videos: Sequence[DatasetVideo], normalisation: Normalisation) -> Iterator[Clip]:
    """Each video as a clip to evaluate. The truth is in metres for `image`, as in Human3.6M's
    protocols, and at the canonical body size for `person`, as our weights predict. It is NaN in
    frames that are not valid, which are not measured.
    """
    for video in videos:
        size = video.size if normalisation == "person" else 1.0
        valid = video.valid[:, None, None]
        yield Clip(
            person=video.subject,
            action=video.action,
            keypoints=video.keypoints,
            focal_px=video.focal_px,
            xyz=np.where(valid, video.relative / size, np.nan).astype(np.float32),
            size=size,
        )


def prepare_video(video: DatasetVideo, normalisation: Normalisation) -> tuple[Floats, Floats]:
    """The network's input (T, 17, C), bitwise as in the service, and the target (T, 17, 3) m."""
    keypoints = video.keypoints
    if normalisation == "image":
        size = np.array(keypoints.image_size, np.float32)
        return image_input(keypoints.xy, size), video.relative.astype(np.float32)
    size, focal = np.array(keypoints.image_size), float(video.focal_px or max(keypoints.image_size))
    rays = pixels_to_rays(keypoints.xy.astype(np.float64), size, focal)
    prepared = person_input(rays, keypoints.confidence, whole_image(size, focal))
    target = turn(video.relative / video.size, prepared.rotation)
    return prepared.channels.astype(np.float32), target.astype(np.float32)


def _rows(
    videos: Sequence[DatasetVideo], normalisation: Normalisation, device: torch.device
) -> _Rows:
    if not videos:
        raise InvalidInput("no videos to train on")
    prepared = [prepare_video(video, normalisation) for video in videos]
    lengths = np.array([len(video.xyz) for video in videos])
    ends = np.cumsum(lengths)
    valid = np.flatnonzero(np.concatenate([video.valid for video in videos]))
    return _Rows(
        inputs=torch.from_numpy(np.concatenate([inputs for inputs, _ in prepared])).to(device),
        targets=torch.from_numpy(np.concatenate([targets for _, targets in prepared])).to(device),
        valid=torch.from_numpy(valid).to(device),
        first=torch.from_numpy(np.repeat(ends - lengths, lengths)).to(device),
        last=torch.from_numpy(np.repeat(ends - 1, lengths)).to(device),
    )
