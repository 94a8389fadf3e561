"""What the service answers, for /openapi.json and for tests; the routes build it from arrays."""

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
    Field(description="the 2D as lifted, H36M-17: [x, y, score] px, null for a joint not seen"),
]
Confidence = Annotated[
    list[Annotated[list[float], Field(min_length=17, max_length=17)]] | None,
    Field(
        description="0..1: the estimated probability that each joint lies within "
        "applied.confidence_within_mm of where it truly is, relative to the pelvis, with the "
        "person's height known; null in streams, and for a model that gives none"
    ),
]
Applied = Annotated[
    dict[str, Any], Field(description="the options, and what was assumed where none was given")
]
Warnings = Annotated[
    list[str], Field(description="what was guessed, cut short or skipped; empty where nothing was")
]


def _shown(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


class Named(BaseModel):
    name: str
    version: str


Root = Annotated[
    list[Triple], Field(description="the pelvis in camera axes: x right, y down, z forward, m")
]


class Room(BaseModel):
    """World axes: x right, y up, z towards the camera; the origin is on the floor below it."""

    rotation: Annotated[
        list[Triple],
        Field(min_length=3, max_length=3, description="rows: the world's axes in camera axes"),
    ]
    camera_height_m: Annotated[float, Field(description="the camera's, above the floor")]
    assumes: Annotated[str, Field(description="what this rests on")]


class LiftReply(BaseModel):
    """One pose for each frame."""

    model_config = _shown(examples.LIFT_REPLY)

    model: Named
    skeleton: Annotated[str, Field(description="always h36m17")]
    frames: Annotated[list[int], Field(description="frame numbers, from 0")]
    poses: Poses
    keypoints: Keypoints
    final: Annotated[list[bool], Field(description="whether each pose is the answer of record")]
    confidence: Confidence
    delay_frames: Annotated[
        int | None, Field(description="of a stream: final answers come so many frames late")
    ] = None
    delay_s: Annotated[float | None, Field(description="of a stream: the same in s")] = None
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
    frames: Annotated[int, Field(description="taken so far: the next first_frame")]
    idle_s: Annotated[float, Field(description="since its last request")]


class StreamsReply(BaseModel):
    streams: list[OpenStream]


class VideoFacts(BaseModel):
    """The upright displayed picture, px; what was really read of the file."""

    width: int
    height: int
    fps: float
    frames: int
    duration_s: float


class Person(BaseModel):
    """One person, in the frames where they were seen or bridged."""

    id: Annotated[int, Field(ge=1)]
    frames: Annotated[list[int], Field(description="frame numbers, from 0 in decoding order")]
    times_s: Annotated[list[float], Field(description="s from the first frame's timestamp")]
    bridged: Annotated[
        list[int], Field(description="those of the frames in which they were missed, and drawn in")
    ]
    keypoints: Keypoints
    poses: Poses
    confidence: Confidence
    root: Root


class JobProgress(BaseModel):
    """How far a job is; null where it is not known."""

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

    model_config = _shown(examples.VIDEO_REPLY)

    id: Annotated[str | None, Field(description="of the job; in the reply of POST /video")] = None
    links: Annotated[JobLinks | None, Field(description="likewise")] = None
    video: VideoFacts
    detector: Named
    model: Named
    applied: Applied
    warnings: Warnings
    room: Annotated[Room | None, Field(description="null where nobody was seen")]
    people: list[Person]


class JobReply(BaseModel):
    """A video job."""

    model_config = _shown(examples.JOB_REPLY)

    id: str
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: JobProgress
    created_at: str
    ended_at: str | None = None
    expires_at: Annotated[str | None, Field(description="when video and result go")] = None
    video: Annotated[VideoFacts, Field(description="what the file declares")]
    model: str
    options: dict[str, Any]
    error: Annotated["Problem | None", Field(description="why it failed")] = None
    links: JobLinks


class JobsReply(BaseModel):
    """Jobs, the newest first."""

    jobs: list[JobReply]


class ModelFacts(BaseModel):
    """What a model file says of itself."""

    name: str
    version: str
    frames: Annotated[int, Field(description="the window, in frames")]
    skeleton: str
    joints: list[str]
    channels: int
    normalisation: str
    unit: str
    readouts: list[str]
    precision: Annotated[str, Field(description="what it computes with: float32, float16 or int8")]
    height_m: Annotated[float | None, Field(description="the body height that poses have")]
    confidence_within_mm: Annotated[
        float | None, Field(description="what its confidence speaks of; null: it gives none")
    ]
    fps: Annotated[list[float], Field(description="frame rates it was trained for")]
    metrics: dict[str, Any]
    licence: str
    training_commit: str
    provider: Annotated[str, Field(description="ONNX Runtime's execution provider in use")]
    devices: Annotated[list[str], Field(description="where it runs: cpu, cuda:N or tensorrt:N")]


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
    devices: Annotated[list[str], Field(description="where it runs: cpu, cuda:N or tensorrt:N")]
    precision: Annotated[str, Field(description="what the model computes with")]
    model: Named
    detector: str


class BadValue(BaseModel):
    location: Annotated[list[str | int], Field(description="the path to the value")]
    detail: str


class Problem(BaseModel):
    """An RFC 9457 problem document."""

    model_config = _shown(examples.PROBLEM)

    type: str
    title: str
    status: int
    detail: str
    errors: Annotated[list[BadValue] | None, Field(description="the values that do not fit")] = None
