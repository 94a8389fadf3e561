"""Schemas of the responses, for /openapi.json and tests; the routes build responses from arrays."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.wire.openapi import examples

Triple = Annotated[list[float], Field(min_length=3, max_length=3)]
Pose = Annotated[list[Triple], Field(min_length=17, max_length=17)]
Poses = Annotated[
    list[Pose],
    Field(
        description="[x, y, z] m, relative to the pelvis; x right, y down, z forward. With `space` "
        "camera from the camera; world: x right, y up, z towards the camera, the floor at y = 0"
    ),
]
Joints = Annotated[list[Triple | None], Field(min_length=17, max_length=17)]
Keypoints = Annotated[
    list[Joints],
    Field(description="lifted keypoints, H36M-17: [x, y, score] px, null for a joint not seen"),
]
Confidence = Annotated[
    list[Annotated[list[float], Field(min_length=17, max_length=17)]] | None,
    Field(
        description="0..1: the estimated probability that the error of each joint is below "
        "applied.confidence_within_mm, relative to the pelvis and with the person's height known; "
        "null in streams and for models without confidence"
    ),
]
Applied = Annotated[
    dict[str, Any], Field(description="the options, and the values assumed for missing ones")
]
Warnings = Annotated[list[str], Field(description="what was assumed, truncated or skipped")]


def _with_example(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


class Named(BaseModel):
    name: str
    version: str


Root = Annotated[
    list[Triple],
    Field(description="position of the pelvis in camera axes: x right, y down, z forward, m"),
]


class Room(BaseModel):
    """World axes: x right, y up, z towards the camera; origin on the floor below the camera."""

    rotation: Annotated[
        list[Triple],
        Field(min_length=3, max_length=3, description="rows: the world axes in camera axes"),
    ]
    camera_height_m: Annotated[float, Field(description="height of the camera above the floor")]
    assumes: Annotated[str, Field(description="the assumptions of the estimate")]


class LiftReply(BaseModel):
    """One pose for each frame."""

    model_config = _with_example(examples.LIFT_REPLY)

    model: Named
    skeleton: Annotated[str, Field(description="always h36m17")]
    frames: Annotated[list[int], Field(description="frame numbers, from 0")]
    poses: Poses
    keypoints: Keypoints
    final: Annotated[
        list[bool], Field(description="true for final poses, false for provisional ones")
    ]
    confidence: Confidence
    delay_frames: Annotated[
        int | None, Field(description="of a stream: delay of final poses, frames")
    ] = None
    delay_s: Annotated[float | None, Field(description="of a stream: delay of final poses, s")] = (
        None
    )
    root: Annotated[Root | None, Field(description="with `space` camera or world")] = None
    room: Annotated[Room | None, Field(description="with `space` world")] = None
    applied: Applied
    warnings: Warnings


class OpenStream(BaseModel):
    """A stream over POST /lift."""

    id: str
    model: str
    skeleton: str
    image_size: list[int]
    fps: float
    frames: Annotated[int, Field(description="frames received so far: the next first_frame")]
    idle_s: Annotated[float, Field(description="time since the last request")]


class StreamsReply(BaseModel):
    streams: list[OpenStream]


class VideoFacts(BaseModel):
    """Size of the upright image, px, and what was decoded of the file."""

    width: int
    height: int
    fps: float
    frames: int
    duration_s: float


class Person(BaseModel):
    """One person, in the detected and bridged frames."""

    id: Annotated[int, Field(ge=1)]
    frames: Annotated[list[int], Field(description="frame numbers, from 0 in decoding order")]
    times_s: Annotated[list[float], Field(description="s from the first frame's timestamp")]
    bridged: Annotated[
        list[int], Field(description="those of the frames without a detection, interpolated")
    ]
    keypoints: Keypoints
    poses: Poses
    confidence: Confidence
    root: Root


class JobProgress(BaseModel):
    """Progress of a job; null if unknown."""

    stage: str
    done: int
    total: int | None
    remaining_s: Annotated[float | None, Field(description="estimated time left in this stage")]


class JobLinks(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    itself: Annotated[str, Field(alias="self")]
    events: str
    result: str
    overlay: str


class VideoReply(BaseModel):
    """Every person in a video."""

    model_config = _with_example(examples.VIDEO_REPLY)

    id: Annotated[str | None, Field(description="of the job; in responses of POST /video")] = None
    links: Annotated[JobLinks | None, Field(description="likewise")] = None
    video: VideoFacts
    detector: Named
    model: Named
    applied: Applied
    warnings: Warnings
    room: Annotated[Room | None, Field(description="null without people")]
    people: list[Person]


class JobReply(BaseModel):
    """A video job."""

    model_config = _with_example(examples.JOB_REPLY)

    id: str
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: JobProgress
    created_at: str
    ended_at: str | None = None
    expires_at: Annotated[str | None, Field(description="when video and result are deleted")] = None
    video: Annotated[VideoFacts, Field(description="from the metadata of the file")]
    model: str
    options: dict[str, Any]
    error: Annotated["Problem | None", Field(description="why it failed")] = None
    links: JobLinks


class JobsReply(BaseModel):
    """Jobs, the newest first."""

    jobs: list[JobReply]


class ModelFacts(BaseModel):
    """Metadata of a model file."""

    name: str
    version: str
    frames: Annotated[int, Field(description="the window, in frames")]
    skeleton: str
    joints: list[str]
    channels: int
    normalisation: str
    unit: str
    readouts: list[str]
    precision: Annotated[str, Field(description="arithmetic: float32, float16 or int8")]
    height_m: Annotated[float | None, Field(description="body height of the poses")]
    confidence_within_mm: Annotated[
        float | None, Field(description="error bound of its confidence; null: no confidence")
    ]
    fps: Annotated[list[float], Field(description="frame rates it was trained for")]
    metrics: dict[str, Any]
    licence: str
    training_commit: str
    provider: Annotated[str, Field(description="ONNX Runtime's execution provider in use")]
    devices: Annotated[list[str], Field(description="cpu, cuda:N or tensorrt:N")]


class UnusableModel(BaseModel):
    name: str
    error: str


class Models(BaseModel):
    default: str
    models: list[ModelFacts | UnusableModel]


class Version(BaseModel):
    poselift: str
    python: str
    onnxruntime: str
    model: Named


class Live(BaseModel):
    status: str


class Ready(BaseModel):
    status: str
    provider: Annotated[str, Field(description="ONNX Runtime's execution provider in use")]
    devices: Annotated[list[str], Field(description="cpu, cuda:N or tensorrt:N")]
    precision: Annotated[str, Field(description="arithmetic of the model")]
    model: Named
    detector: str


class BadValue(BaseModel):
    location: Annotated[list[str | int], Field(description="the path to the value")]
    detail: str


class Problem(BaseModel):
    """An RFC 9457 problem document."""

    model_config = _with_example(examples.PROBLEM)

    type: str
    title: str
    status: int
    detail: str
    errors: Annotated[list[BadValue] | None, Field(description="the bad values")] = None
