"""POST /lift on the wire: requests are read and checked, results written as documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError
from pydantic.json_schema import WithJsonSchema

from model import (
    H36M17,
    MAX_FPS,
    SKELETONS,
    InvalidInput,
    KeypointSequence,
    MotionOptions,
    Room,
    VideoResult,
    check_causal,
    skeleton_named,
)
from service.errors import invalid_fields
from service.wire.documents import parse_object, room_document
from service.wire.fields import STRICT, Count, Finite, Side, options_model
from service.wire.keypoints import read_keypoints, write_keypoints
from service.wire.openapi import examples

_Row = {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 3}
_Frames = {
    "type": "array",
    "minItems": 1,
    "items": {"type": ["array", "null"], "items": _Row},
    "description": "T frames of J rows [x, y] or [x, y, score] in px of the upright image; null "
    "for an unseen joint, or for a frame without the person",
}

_Options = options_model("LiftFields", MotionOptions, STRICT)


class LiftBody(_Options):  # type: ignore[misc, valid-type]
    """The 2D keypoints of one person, frame by frame."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.LIFT_BODY]})

    keypoints: Annotated[Any, WithJsonSchema(_Frames)]
    skeleton: Annotated[str, Field(description=f"{', '.join(SKELETONS)}: the joints' order")]
    image_size: Annotated[
        list[Side], Field(min_length=2, max_length=2, description="[width, height], px")
    ]
    fps: Annotated[Finite, Field(gt=0, le=MAX_FPS, description="frames a second")]
    model: Annotated[str | None, Field(description="one of GET /models")] = None
    stream: Annotated[
        str | None,
        Field(
            pattern="^[A-Za-z0-9._-]{1,64}$",
            description="an id of your choice: these frames follow those sent before with this id",
        ),
    ] = None
    first_frame: Annotated[
        Count | None,
        Field(description="of a stream: the number of the first frame; default: the next"),
    ] = None
    lookahead: Annotated[
        Count | None,
        Field(
            description="of a stream: also return a provisional pose of each frame this many "
            "frames after it; 0: at once; default: final poses only",
        ),
    ] = None


@dataclass(frozen=True)
class LiftRequest:
    """A checked POST /lift; fields are None if absent. `fields` holds the values sent, by name,
    without keypoints, stream and first_frame."""

    sequence: KeypointSequence
    model: str | None = None
    options: MotionOptions = field(default_factory=MotionOptions)
    stream: str | None = None
    first_frame: int | None = None
    lookahead: int | None = None
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Delay:
    """The longest time in a stream from a frame to its final pose."""

    frames: int
    seconds: float


@dataclass(frozen=True)
class LiftResult:
    """The response of one POST /lift; in a stream, the poses that its frames completed.

    frames (n,); final (n,), False for provisional poses; keypoints (n, 17, 3) as lifted, H36M-17:
    x, y px and score; xyz (n, 17, 3) m; delay: only in streams. confidence (n, 17), root (n, 3) m
    in camera axes and room are None if not returned.
    """

    model: tuple[str, str]
    frames: NDArray[np.int64]
    final: NDArray[np.bool_]
    keypoints: NDArray[np.float32]
    xyz: NDArray[np.float32]
    applied: Mapping[str, object]
    warnings: Sequence[str]
    delay: Delay | None = None
    confidence: NDArray[np.float32] | None = None
    root: NDArray[np.float32] | None = None
    room: Room | None = None


def lift_result(result: VideoResult) -> LiftResult:
    """The response for the lifted keypoints of one person."""
    (person,) = result.people
    space = person.poses.space
    return LiftResult(
        model=result.model,
        frames=person.frames,
        final=np.ones(len(person.frames), np.bool_),
        keypoints=person.keypoints.rows,
        xyz=person.poses.xyz,
        applied=result.applied,
        warnings=result.warnings,
        confidence=person.confidence,
        root=None if space == "root" else person.known_root,
        room=result.room if space == "world" else None,
    )


def read_lift(body: bytes, max_frames: int) -> LiftRequest:
    """Parse and check a POST /lift; raises NotJson, TooLarge and InvalidInput with the location."""
    return lift_request(parse_object(body, "the body"), max_frames)


def lift_request(document: Mapping[str, Any], max_frames: int) -> LiftRequest:
    """Check the fields of a POST /lift; raises TooLarge and InvalidInput with the location."""
    unknown = [name[:80] for name in document if name not in LiftBody.model_fields]
    if unknown:
        raise InvalidInput(f"unknown field {unknown[0]!r}", (unknown[0],))
    try:
        fields = LiftBody.model_validate(document)
    except ValidationError as error:
        raise invalid_fields(error.errors()) from error
    for name in ("first_frame", "lookahead"):
        if fields.stream is None and getattr(fields, name) is not None:
            raise InvalidInput(f"{name} needs stream", (name,))
    options = MotionOptions(**fields.model_dump(include=set(_Options.model_fields)))
    if fields.stream is not None:
        check_causal(options)
    skeleton = skeleton_named(fields.skeleton)
    xy, score = read_keypoints(fields.keypoints, skeleton, max_frames)
    width, height = fields.image_size
    return LiftRequest(
        sequence=KeypointSequence(
            xy.astype(np.float32), score.astype(np.float32), (width, height), fields.fps, skeleton
        ),
        model=fields.model,
        options=options,
        stream=fields.stream,
        first_frame=fields.first_frame,
        lookahead=fields.lookahead,
        # later requests of a stream may repeat these, but not change them
        fields=fields.model_dump(
            exclude={"keypoints", "stream", "first_frame"}, exclude_none=True, exclude_unset=True
        ),
    )


def lift_document(result: LiftResult) -> dict[str, Any]:
    """The response of POST /lift as JSON; orjson writes its arrays."""
    name, version = result.model
    delay = result.delay
    return {
        "model": {"name": name, "version": version},
        "skeleton": H36M17.name,
        "frames": result.frames,
        "poses": np.ascontiguousarray(result.xyz),
        "keypoints": write_keypoints(result.keypoints),
        "final": result.final,
        "confidence": result.confidence,
        **({"delay_frames": delay.frames, "delay_s": delay.seconds} if delay else {}),
        **({} if result.root is None else {"root": np.ascontiguousarray(result.root)}),
        **({} if result.room is None else {"room": room_document(result.room)}),
        "applied": dict(result.applied),
        "warnings": list(result.warnings),
    }
