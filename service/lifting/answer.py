"""One checked request -> its answer: what POST /lift and `poselift lift` share."""

from dataclasses import replace

import numpy as np

from model import (
    KeypointSequence,
    Lifter,
    Lifting,
    PoseSequence,
    focal_or_assumed,
    placed,
    room_of,
    root_track,
    smooth,
    space_warnings,
)
from service.wire.schemas import LiftRequest, LiftResult


def lift_request(asked: LiftRequest, lifter: Lifter) -> Lifting[LiftResult]:
    """The whole answer to a checked request; raises InvalidInput where the model cannot do it."""
    sequence = asked.sequence.to_h36m17()
    lifted = yield from lifter.lifting(sequence, asked.options)
    poses = smooth(lifted, asked.smoothing)
    result = LiftResult(
        model=(lifter.name, lifter.version),
        fps=sequence.fps,
        frames=np.arange(len(sequence)),
        final=np.ones(len(sequence), np.bool_),
        keypoints=sequence.rows,
        xyz=poses.xyz,
        applied=applied(asked, lifter),
        warnings=tuple(warnings(asked.sequence, lifter)),
        confidence=lifter.confidence(sequence, lifted, asked.options),
    )
    return result if asked.space == "root" else _in_space(result, poses, sequence, asked)


def _in_space(
    result: LiftResult, poses: PoseSequence, sequence: KeypointSequence, asked: LiftRequest
) -> LiftResult:
    """The result with its poses in the space asked for."""
    focal_px = focal_or_assumed(asked.options.focal_px, sequence.image_size)
    root = root_track(poses, sequence, focal_px)
    room = room_of([(poses, root)]) if asked.space == "world" else None
    return replace(
        result,
        xyz=placed(poses, root, room, asked.space).xyz,
        root=root,
        room=room,
        applied={**result.applied, "focal_px": focal_px},
        warnings=(*result.warnings, *space_warnings(asked.space, room)),
    )


def applied(asked: LiftRequest, lifter: Lifter) -> dict[str, object]:
    options = asked.options
    assumed_px = max(asked.sequence.image_size) if lifter.info.normalisation == "person" else None
    return {
        "readout": options.readout,
        "flip": options.flip,
        "smoothing": asked.smoothing,
        "space": asked.space,
        "repair": False,
        "focal_px": assumed_px if options.focal_px is None else options.focal_px,
        "height_m": lifter.info.height_m if options.height_m is None else options.height_m,
        "confidence_within_mm": None if asked.stream else lifter.info.confidence_within_mm,
    }


def rate_warnings(fps: float, lifter: Lifter) -> list[str]:
    if lifter.info.covers(fps):
        return []
    low, high = lifter.info.fps
    return [f"the model was trained for {low:g}-{high:g} frames/s, these are {fps:.4g}"]


def warnings(sequence: KeypointSequence, lifter: Lifter) -> list[str]:
    found = rate_warnings(sequence.fps, lifter)
    empty = int(np.count_nonzero(~(sequence.confidence > 0).any(axis=1)))
    if empty:
        found.append(f"no joint is seen in {empty} of {len(sequence)} frames: poses are guessed")
    return found
