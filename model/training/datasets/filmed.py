"""People filmed by real cameras: 2D keypoints with the true 3D joints, as windows to train on and
clips to measure on.

What reaches the network is made by the service's own functions, once for a whole film: a frame's
input depends on that frame alone (and boxes before it), so a window is nothing but rows of it.
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
    whole_picture,
)
from model.training.evaluation.errors import Clip
from model.training.recordings import CANONICAL_CHAIN_M, chain_length
from model.training.simulation.simulate import Batch

Floats = NDArray[np.floating[Any]]
Normalisation = Literal["person", "image"]


@dataclass(frozen=True)
class Filmed:
    """One person before one camera over T frames.

    keypoints: H36M-17 in pixels; xyz (T, 17, 3) m in camera axes; focal_px None where it is not
    known; valid (T,) marks frames whose truth may be learnt and measured. Raises InvalidInput that
    names the film and the fault.
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
                f"{self.name}: {shape[0]} frames of 2D need joints {shape} and as many marks, got "
                f"{self.xyz.shape} and {self.valid.shape}"
            )
        if not np.isfinite(self.xyz[self.valid]).all():
            raise InvalidInput(f"{self.name}: joints are finite, got NaN")
        if not self.valid.any():
            raise InvalidInput(f"{self.name}: no frame is valid")

    @property
    def relative(self) -> Floats:
        """Joints relative to the pelvis, (T, 17, 3) m."""
        return self.xyz - self.xyz[:, :1]

    @property
    def size(self) -> float:
        """The person's size over the canonical one."""
        bodies = torch.from_numpy(self.xyz[self.valid][::10].astype(np.float32))
        return float(chain_length(bodies).median()) / CANONICAL_CHAIN_M


@dataclass(frozen=True)
class _Rows:
    """All films end to end: inputs (N, 17, C), targets (N, 17, 3) m; the valid frames, and of each
    frame the first and the last frame of its film."""

    inputs: Tensor
    targets: Tensor
    valid: Tensor
    first: Tensor
    last: Tensor


def filmed_batches(
    films: Sequence[Filmed],
    normalisation: Normalisation,
    *,
    frames: int,
    frame_step: int = 1,
    batch: int,
    mirror: bool = True,
    generator: torch.Generator,
    device: torch.device | None = None,
) -> Iterator[Batch]:
    """Endless random windows of f frames, `frame_step` frames of the film apart, around valid
    frames; beyond a film's ends its first or last frame is repeated.

    `image` gives what the published checkpoints were trained on: C = 2, targets in metres, camera
    axes. `person` gives ours: C = 6, targets turned to the person, at the canonical body size.
    """
    rows = _rows(films, normalisation, device or torch.device("cpu"))
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


def filmed_clips(films: Sequence[Filmed], normalisation: Normalisation) -> Iterator[Clip]:
    """Each film as evaluation takes it. For `image` the truth is in metres, as the protocols of
    Human3.6M have it; for `person` at the canonical body size, which our own weights answer in.
    The truth of a frame that is not valid is NaN: it has its place in time, but counts nowhere.
    """
    for film in films:
        size = film.size if normalisation == "person" else 1.0
        counted = film.valid[:, None, None]
        yield Clip(
            person=film.subject,
            action=film.action,
            keypoints=film.keypoints,
            focal_px=film.focal_px,
            xyz=np.where(counted, film.relative / size, np.nan).astype(np.float32),
            size=size,
        )


def prepare_film(film: Filmed, normalisation: Normalisation) -> tuple[Floats, Floats]:
    """The network's input (T, 17, C), the bits that the service prepares, and its target
    (T, 17, 3) m for a whole film."""
    keypoints = film.keypoints
    if normalisation == "image":
        size = np.array(keypoints.image_size, np.float32)
        return image_input(keypoints.xy, size), film.relative.astype(np.float32)
    size, focal = np.array(keypoints.image_size), float(film.focal_px or max(keypoints.image_size))
    rays = pixels_to_rays(keypoints.xy.astype(np.float64), size, focal)
    seen = person_input(rays, keypoints.confidence, whole_picture(size, focal))
    target = turn(film.relative / film.size, seen.rotation)
    return seen.channels.astype(np.float32), target.astype(np.float32)


def _rows(films: Sequence[Filmed], normalisation: Normalisation, device: torch.device) -> _Rows:
    if not films:
        raise InvalidInput("no films given")
    prepared = [prepare_film(film, normalisation) for film in films]
    lengths = np.array([len(film.xyz) for film in films])
    ends = np.cumsum(lengths)
    valid = np.flatnonzero(np.concatenate([film.valid for film in films]))
    return _Rows(
        inputs=torch.from_numpy(np.concatenate([inputs for inputs, _ in prepared])).to(device),
        targets=torch.from_numpy(np.concatenate([targets for _, targets in prepared])).to(device),
        valid=torch.from_numpy(valid).to(device),
        first=torch.from_numpy(np.repeat(ends - lengths, lengths)).to(device),
        last=torch.from_numpy(np.repeat(ends - 1, lengths)).to(device),
    )
