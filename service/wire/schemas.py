"""The wire: what requests and replies hold, and the way from and to the model's own types."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.json_schema import WithJsonSchema

from model import (
    H36M17,
    MAX_FPS,
    MAX_IMAGE_SIDE_PX,
    SKELETONS,
    InvalidInput,
    KeypointSequence,
    LiftOptions,
    PersonMotion,
    PoseSequence,
    Room,
    VideoInfo,
    VideoResult,
    skeleton_named,
)
from service.errors import NotJson, invalid_fields
from service.wire.keypoints import read_keypoints, write_keypoints
from service.wire.openapi import examples

Readout = Annotated[
    Literal["centre", "dense"],
    Field(description="centre: the answer of record; dense: faster, one pass for many frames"),
]
FLIP = "also lift the mirrored picture and take the mean; twice the cost"
Smoothing = Literal["none", "one_euro", "butterworth", "gaussian"]
Space = Annotated[
    Literal["root", "camera", "world"],
    Field(
        description="where poses are: relative to the pelvis; from the camera; or in the room, y "
        "up, with the floor at 0"
    ),
]
Finite = Annotated[float, Field(allow_inf_nan=False)]
FocalPx = Annotated[
    Finite | None,
    Field(
        description="the camera's focal length, px; none: what the video says, else its longer side"
    ),
]
HeightM = Annotated[
    Finite | None, Field(description="the person's standing height, m; none: the model's own")
]


def whole(value: object) -> object:
    """JSON knows one kind of number: 1920.0 is whole."""
    return int(value) if type(value) is float and value.is_integer() else value


Side = Annotated[int, BeforeValidator(whole), Field(ge=1, le=MAX_IMAGE_SIDE_PX)]
Count = Annotated[int, BeforeValidator(whole), Field(ge=0, le=2**53)]
_Number = {"type": "number"}
_Row = {"type": ["array", "null"], "items": _Number, "minItems": 2, "maxItems": 3}
_Frames = {
    "type": "array",
    "minItems": 1,
    "items": {"type": ["array", "null"], "items": _Row},
    "description": "T frames of J rows [x, y] or [x, y, score] in px of the upright picture; null "
    "for a joint not seen, or for a frame without the person",
}


class LiftBody(BaseModel):
    """The 2D keypoints of one person, frame by frame."""

    model_config = ConfigDict(
        strict=True, extra="forbid", json_schema_extra={"examples": [examples.LIFT_BODY]}
    )

    keypoints: Annotated[Any, WithJsonSchema(_Frames)]
    skeleton: Annotated[str, Field(description=f"{', '.join(SKELETONS)}: the joints' order")]
    image_size: Annotated[
        list[Side], Field(min_length=2, max_length=2, description="[width, height], px")
    ]
    fps: Annotated[Finite, Field(gt=0, le=MAX_FPS, description="frames a second")]
    model: Annotated[str | None, Field(description="one of GET /models")] = None
    readout: Readout = "centre"
    flip: Annotated[bool, Field(description=FLIP)] = False
    smoothing: Smoothing = "none"
    focal_px: FocalPx = None
    height_m: HeightM = None
    space: Space = "root"
    stream: Annotated[
        str | None,
        Field(
            pattern="^[A-Za-z0-9._-]{1,64}$",
            description="a name of your own: these frames follow those sent under it before",
        ),
    ] = None
    first_frame: Annotated[
        Count | None,
        Field(description="of a stream: the number of the first frame; none: the next"),
    ] = None
    lookahead: Annotated[
        Count | None,
        Field(
            description="of a stream: also answer each frame so many frames after it, before its "
            "window is complete; 0 at once; none: final answers alone",
        ),
    ] = None


@dataclass(frozen=True)
class LiftRequest:
    """A checked POST /lift.

    `model` is None for the default one. `stream`, `first_frame` and `lookahead` are None where they
    are not given; `given` holds all values that are, by their names, but keypoints, stream and
    first_frame.
    """

    sequence: KeypointSequence
    model: str | None
    options: LiftOptions
    smoothing: str
    space: str = "root"
    stream: str | None = None
    first_frame: int | None = None
    lookahead: int | None = None
    given: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Delay:
    """Of a stream: from a frame to its final answer."""

    frames: int
    seconds: float


@dataclass(frozen=True)
class LiftResult:
    """What POST /lift answers.

    frames (n,) and final (n,) say which frame each answer belongs to, and whether it is the answer
    of record; keypoints (n, 17, 3) are the 2D as lifted, H36M-17: x, y px and score; xyz
    (n, 17, 3) m; delay is None but for a stream; confidence (n, 17) is None for a stream, and for a
    model that gives none; root (n, 3) m in camera axes and room are None for poses relative to it.
    """

    model: tuple[str, str]
    fps: float
    frames: NDArray[np.int64]
    final: NDArray[np.bool_]
    keypoints: NDArray[np.float32]
    xyz: NDArray[np.float32]
    applied: Mapping[str, object]
    warnings: tuple[str, ...]
    delay: Delay | None = None
    confidence: NDArray[np.float32] | None = None
    root: NDArray[np.float32] | None = None
    room: Room | None = None


def read_lift(body: bytes, max_frames: int) -> LiftRequest:
    """Parse and check a POST /lift; raises NotJson, TooLarge and InvalidInput with the place."""
    return lift_asked(parse_object(body, "the body"), max_frames)


def lift_asked(document: Mapping[str, Any], max_frames: int) -> LiftRequest:
    """Check what a POST /lift holds; raises TooLarge and InvalidInput with the place."""
    unknown = [name[:80] for name in document if name not in LiftBody.model_fields]
    if unknown:
        raise InvalidInput(f"unknown field {unknown[0]!r}, not ignored", (unknown[0],))
    try:
        fields = LiftBody.model_validate(document)
    except ValidationError as error:
        raise invalid_fields(error.errors()) from error
    for name in ("first_frame", "lookahead"):
        if fields.stream is None and getattr(fields, name) is not None:
            raise InvalidInput(f"{name} goes with stream, which is not given", (name,))
    if fields.stream is not None and fields.space != "root":
        raise InvalidInput(
            f"space is root in a stream, got {fields.space}, which needs the frames to come",
            ("space",),
        )
    skeleton = skeleton_named(fields.skeleton)
    xy, score = read_keypoints(fields.keypoints, skeleton, max_frames)
    width, height = fields.image_size
    sequence = KeypointSequence(
        xy.astype(np.float32), score.astype(np.float32), (width, height), fields.fps, skeleton
    )
    options = LiftOptions(fields.readout, fields.flip, fields.focal_px, fields.height_m)
    return LiftRequest(
        sequence=sequence,
        model=fields.model,
        options=options,
        smoothing=fields.smoothing,
        space=fields.space,
        stream=fields.stream,
        first_frame=fields.first_frame,
        lookahead=fields.lookahead,
        given=_given(fields),
    )


def _given(fields: LiftBody) -> dict[str, object]:
    """What a stream's later requests may repeat, and may not change."""
    given = fields.model_dump(exclude={"keypoints", "stream", "first_frame"}, exclude_none=True)
    return {name: value for name, value in given.items() if name in fields.model_fields_set}


def parse_object(text: bytes | str, name: str) -> dict[str, Any]:
    """One JSON object; raises NotJson and InvalidInput."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        # 1e999 is JSON, but no number that a computer holds
        if "infinity" in error.msg:
            raise InvalidInput(f"a number is out of range ({error})") from error
        raise NotJson(f"{name} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidInput(f"{name} is one JSON object")
    return document


def lift_document(result: LiftResult) -> dict[str, Any]:
    """The reply of POST /lift; orjson writes its arrays."""
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


def video_document(result: VideoResult) -> dict[str, Any]:
    """The result of a video; orjson writes its arrays."""
    detector, detector_version = result.detector
    model, model_version = result.model
    return {
        "video": asdict(result.video),
        "detector": {"name": detector, "version": detector_version},
        "model": {"name": model, "version": model_version},
        "applied": dict(result.applied),
        "warnings": list(result.warnings),
        "room": room_document(result.room),
        "people": [_person_document(person) for person in result.people],
    }


def room_document(room: Room | None) -> dict[str, Any] | None:
    if room is None:
        return None
    return {
        "rotation": room.rotation.tolist(),
        "camera_height_m": room.camera_height_m,
        "assumes": room.assumes,
    }


def _person_document(person: PersonMotion) -> dict[str, Any]:
    return {
        "id": person.id,
        "frames": person.frames,
        "times_s": person.times_s,
        "bridged": person.bridged,
        "keypoints": write_keypoints(person.keypoints.rows),
        "poses": np.ascontiguousarray(person.poses.xyz),
        "confidence": person.confidence,
        "root": np.ascontiguousarray(person.root),
    }


def read_video_document(text: bytes, name: str) -> VideoResult:
    """The result that dump wrote of video_document; raises NotJson and InvalidInput."""
    document = parse_object(text, name)
    try:
        video = VideoInfo(**document["video"])
        return VideoResult(
            video=video,
            detector=(document["detector"]["name"], document["detector"]["version"]),
            model=(document["model"]["name"], document["model"]["version"]),
            people=tuple(
                _read_person(person, video, document["applied"]["space"])
                for person in document["people"]
            ),
            warnings=tuple(document["warnings"]),
            applied=document["applied"],
            room=_read_room(document["room"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{name} is no result of a video: {error!r}") from error


def _read_room(document: Mapping[str, Any] | None) -> Room | None:
    if document is None:
        return None
    rotation = np.array(document["rotation"], np.float64)
    return Room(rotation, document["camera_height_m"], document["assumes"])


def _read_person(document: Mapping[str, Any], video: VideoInfo, space: str) -> PersonMotion:
    frames, times_s = np.array(document["frames"], np.int64), np.array(document["times_s"])
    xy, score = read_keypoints(document["keypoints"], H36M17, len(frames))
    poses = PoseSequence(np.array(document["poses"], np.float32), video.fps, space=space)
    root = np.array(document["root"], np.float32)
    if not len(frames) == len(times_s) == len(xy) == len(poses) == len(root):
        raise ValueError(
            f"person {document['id']}: as many frames, times, keypoints, poses and roots"
        )
    size = (video.width, video.height)
    keypoints = KeypointSequence(
        xy.astype(np.float32), score.astype(np.float32), size, video.fps, H36M17
    )
    sure = document.get("confidence")
    confidence = None if sure is None else np.array(sure, np.float32)
    if confidence is not None and confidence.shape != (len(frames), len(H36M17.joints)):
        raise ValueError(f"person {document['id']}: a confidence for each joint of each frame")
    return PersonMotion(
        int(document["id"]),
        frames,
        times_s,
        keypoints,
        poses,
        root,
        bridged=np.array(document.get("bridged", []), np.int64),
        confidence=confidence,
    )


def dump(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
