"""The settings with units and limits, read from POSELIFT_* variables and checked at start."""

import logging
import os
from collections.abc import Mapping, Set
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from platformdirs import user_state_path
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from model import (
    TOKENS_A_PASS,
    GpuOptions,
    InvalidInput,
    cache_folder,
    find_devices,
    known_models,
    read_name,
    weights_folder,
)
from service.errors import Fault, InvalidFields, invalid_fields

MB = 1_000_000
MEGAPIXEL = 1_000_000
PREFIX = "POSELIFT_"
ENV_FILE = ".env"
CPU_MODEL, GPU_MODEL = "poseformer-27", "poseformer-81"
OTHER_VARIABLES = frozenset({"POSELIFT_CACHE"})
"""Read in model/files.py."""
DEPRECATED = {
    "POSELIFT_MAX_LIFTINGS": "POSELIFT_MAX_LIFT_TASKS",
    "POSELIFT_MAX_LIFTS": "POSELIFT_MAX_LIFT_REQUESTS",
}
"""Old variable -> new variable. The old ones are accepted for one release."""

_log = logging.getLogger("poselift")


def cores() -> int:
    """One per core of the machine."""
    return os.cpu_count() or 1


def four_a_core() -> int:
    """Four per core of the machine."""
    return 4 * cores()


class Settings(BaseSettings):
    """Settings of one server; each field is the variable POSELIFT_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="TCP port to listen on; 0: any free port.")
    ] = 8000

    device: Annotated[
        str,
        Field(
            pattern=r"^(auto|cpu|(cuda|tensorrt)(:\d{1,2})?(,(cuda|tensorrt):\d{1,2})*)$",
            description="Device of the lifter: auto, cpu, cuda, cuda:N, tensorrt, tensorrt:N, or "
            "several GPUs as cuda:0,cuda:1, each with its own copy. The service does not start "
            "without a named GPU; auto: the first GPU if CUDA works, else the CPU (logged).",
        ),
    ] = "auto"
    precision: Annotated[
        Literal["float32", "float16"],
        Field(
            description="Arithmetic of a float32 model. float16 is for GPUs and slower on a CPU."
        ),
    ] = "float32"
    gpu_memory_mb: Annotated[
        float | None,
        Field(
            ge=64,
            le=1e6,
            description="Maximum GPU memory of one model, per GPU and process (the server and "
            "every worker), MB (10^6 bytes); none: unlimited.",
        ),
    ] = None
    engine_cache: Annotated[
        Path | None,
        Field(
            description="Folder for the engines that TensorRT builds; none: tensorrt in the cache "
            "folder (POSELIFT_CACHE)."
        ),
    ] = None
    weights: Annotated[
        Path, Field(description="Folder of *.onnx model files.", default_factory=weights_folder)
    ]
    model: Annotated[
        str | None,
        Field(
            description="Default model: the name of a file in the weights folder; none: "
            f"{GPU_MODEL} on a GPU, else {CPU_MODEL}."
        ),
    ] = None
    detector: Annotated[
        str,
        Field(
            description="Default 2D detector: mediapipe, rtmpose:MODEL, mmpose or "
            "mmpose:CONFIG,CHECKPOINT (docs/detectors.md). Requests may choose a known detector; "
            "files and URLs are accepted only here."
        ),
    ] = "mediapipe"

    lift_threads: Annotated[int, Field(ge=1, le=256, description="Threads per model call.")] = 1
    lift_workers: Annotated[
        int | None,
        Field(
            ge=1, le=256, description="Parallel model calls; none: one per core, or one on a GPU."
        ),
    ] = None
    batch_tokens: Annotated[
        int,
        Field(
            ge=1, le=1_000_000, description="Maximum frames, or windows x frames, per model call."
        ),
    ] = TOKENS_A_PASS
    max_lift_tasks: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Maximum lift tasks in progress; more get 503, except those of /stream.",
        ),
    ] = 256
    max_lift_requests: Annotated[
        int,
        Field(
            ge=1,
            le=10_000,
            description="Maximum POST /lift requests in progress, from the first byte to the "
            "response; more get 503.",
        ),
    ] = 64
    max_streams: Annotated[
        int,
        Field(ge=1, le=100_000, description="Maximum open streams over POST /lift; more get 429."),
    ] = 256
    stream_idle_s: Annotated[
        float,
        Field(gt=0, le=86_400, description="A stream ends after this long without a request."),
    ] = 60
    videos_at_once: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="Worker processes; each processes one video at a time.",
            default_factory=cores,
        ),
    ]
    videos_waiting: Annotated[
        int,
        Field(
            ge=0,
            le=100_000,
            description="Maximum further videos that are uploading or waiting; more get 503.",
        ),
    ] = 100
    video_wait_s: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            description="POST /video waits this long for a result, then responds 202.",
        ),
    ] = 30
    video_wait_max_s: Annotated[
        float, Field(ge=0, le=3600, description="Longest wait that a request may set with Prefer.")
    ] = 300

    max_body_mb: Annotated[
        float, Field(gt=0, le=4096, description="Maximum POST /lift body, MB (10^6 bytes).")
    ] = 64
    max_frames: Annotated[
        int, Field(ge=1, le=10_000_000, description="Maximum frames of one POST /lift.")
    ] = 100_000
    live_at_once: Annotated[
        int, Field(ge=1, le=100_000, description="Maximum live streams; more are closed with 1013.")
    ] = 64
    live_pictures_at_once: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Maximum live streams of images, each with its own detector (0.23 GB or "
            "more); more are closed with 1013.",
            default_factory=four_a_core,
        ),
    ]
    live_load: Annotated[
        float,
        Field(
            gt=0,
            le=1e6,
            description="While live results take longer than this fraction of the time between "
            "frames, new live streams are rejected (1013, 503); from 1 on, streams fall behind.",
        ),
    ] = 0.5
    live_always: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Live streams always admitted, whatever the load, if the time of a single "
            "frame shows that the machine can serve them.",
        ),
    ] = 4
    live_looks_at_once: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="Images of live streams processed in parallel.",
            default_factory=cores,
        ),
    ]
    live_people: Annotated[
        int, Field(ge=1, le=1000, description="Maximum people in a frame of a live stream.")
    ] = 16
    live_message_mb: Annotated[
        float, Field(gt=0, le=1000, description="Maximum message of a live stream, MB.")
    ] = 8
    live_queue: Annotated[
        int, Field(ge=1, le=10_000, description="Maximum messages queued for a live client.")
    ] = 64
    live_idle_s: Annotated[
        float,
        Field(
            gt=0,
            le=86_400,
            description="A live stream ends after this long without a message read or sent.",
        ),
    ] = 60
    live_ping_s: Annotated[
        float,
        Field(gt=0, le=3600, description="Time between pings, and time to wait for the pong."),
    ] = 20

    max_upload_mb: Annotated[
        float, Field(gt=0, le=1e6, description="Maximum POST /video body, MB (10^6 bytes).")
    ] = 2048
    upload_stall_s: Annotated[
        float, Field(gt=0, le=3600, description="An upload ends after this long without data.")
    ] = 30
    max_picture_mp: Annotated[
        float, Field(gt=0, le=100, description="Maximum image size of a video, 10^6 pixels.")
    ] = 36
    max_video_frames: Annotated[
        int, Field(ge=1, le=10**9, description="Maximum frames of a video.")
    ] = 1_000_000
    max_video_s: Annotated[
        float, Field(gt=0, le=1e7, description="Maximum duration of a video.")
    ] = 14_400

    jobs_folder: Annotated[
        Path | None,
        Field(
            description="Folder of the job store, uploads and results, used by one server at a "
            "time; none: poselift-jobs in the user's state folder."
        ),
    ] = None
    min_free_mb: Annotated[
        float,
        Field(ge=0, le=1e9, description="Minimum free space on the disk of the jobs folder, MB."),
    ] = 1000
    job_memory_mb: Annotated[
        float,
        Field(ge=1, le=1e6, description="Maximum memory of one worker process during a job, MB."),
    ] = 4000
    job_cpu_s: Annotated[float, Field(gt=0, le=1e7, description="Maximum CPU time of a job.")] = (
        86_400
    )
    job_wall_s: Annotated[
        float, Field(gt=0, le=1e7, description="Maximum wall-clock time of a job.")
    ] = 86_400
    job_stall_s: Annotated[
        float, Field(gt=0, le=1e7, description="A job is ended after this long without progress.")
    ] = 600
    job_attempts: Annotated[
        int,
        Field(
            ge=1, le=100, description="Maximum attempts of a job when the server dies during it."
        ),
    ] = 3
    results_kept_h: Annotated[
        float, Field(gt=0, le=1e6, description="How long the video and result of a job are kept.")
    ] = 24
    jobs_kept_h: Annotated[
        float,
        Field(ge=0, le=1e6, description="Time that a job stays listed after its result is gone."),
    ] = 168
    jobs_kept: Annotated[
        int,
        Field(ge=1, le=1_000_000, description="Maximum jobs kept; the oldest are removed first."),
    ] = 10_000

    @property
    def max_body_bytes(self) -> int:
        return int(self.max_body_mb * MB)

    @property
    def live_message_bytes(self) -> int:
        return int(self.live_message_mb * MB)

    @property
    def max_picture_pixels(self) -> int:
        return int(self.max_picture_mp * MEGAPIXEL)

    @property
    def max_upload_bytes(self) -> int:
        return int(self.max_upload_mb * MB)

    @property
    def min_free_bytes(self) -> int:
        return int(self.min_free_mb * MB)

    @property
    def jobs_path(self) -> Path:
        return self.jobs_folder or user_state_path("poselift-jobs", appauthor=False)

    @cached_property
    def default_model(self) -> str:
        """Raises DeviceUnavailable."""
        if self.model is not None:
            return self.model
        on_gpu = find_devices(self.device)[0].is_gpu
        return GPU_MODEL if on_gpu and GPU_MODEL in known_models(self.weights) else CPU_MODEL

    @property
    def gpu(self) -> GpuOptions:
        return GpuOptions(self.gpu_memory_mb, self.engine_cache or cache_folder() / "tensorrt")

    def check(self) -> None:
        """Check what the types cannot express. Raises InvalidInput."""
        read_name(self.detector)
        if not self.weights.is_dir():
            raise InvalidInput(f"POSELIFT_WEIGHTS: no such folder: {self.weights}", ("weights",))


def read_settings(**options: object) -> Settings:
    """Settings from `options`, then POSELIFT_* variables, then those of a file .env in the current
    folder. Raises InvalidInput, also for an unknown variable with that prefix."""
    _read_env_file()
    variables = {k.upper(): v for k, v in os.environ.items() if k.upper().startswith(PREFIX)}
    _check_names(variables.keys())
    try:
        return Settings(**{**_deprecated(variables), **options})  # type: ignore[arg-type]
    except ValidationError as error:
        faults = invalid_fields(error.errors()).faults
        named = [Fault((PREFIX + str(f.where[0]).upper(),), f.message) for f in faults]
        raise InvalidFields(named) from error


def _read_env_file() -> None:
    """Set its POSELIFT_* variables in the environment, so that POSELIFT_CACHE and worker processes
    get them too. Other variables are for docker-compose.yml."""
    for name, value in dotenv_values(ENV_FILE).items():
        if name.upper().startswith(PREFIX) and value is not None:
            os.environ.setdefault(name, value)


def _check_names(names: Set[str]) -> None:
    known = {PREFIX + field.upper() for field in Settings.model_fields} | OTHER_VARIABLES
    faults = [
        Fault((old,), f"is the old name of {new}, which is also set; remove {old}")
        for old, new in DEPRECATED.items()
        if names >= {old, new}
    ]
    for name in sorted(names - known - DEPRECATED.keys()):
        near = get_close_matches(name, known, 1, cutoff=0)[0]
        faults.append(Fault((name,), f"there is no such setting; the nearest is {near}"))
    if faults:
        raise InvalidFields(faults)


def _deprecated(variables: Mapping[str, str]) -> dict[str, str]:
    """The values of deprecated variables, by field of Settings."""
    values = {}
    for old, new in DEPRECATED.items():
        if old in variables:
            _log.warning("%s is deprecated and will be removed; use %s", old, new)
            values[new.removeprefix(PREFIX).lower()] = variables[old]
    return values
