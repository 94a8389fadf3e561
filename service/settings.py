"""Every knob, its unit and its limit; read from POSELIFT_* variables and checked at start."""

import os
from collections.abc import Iterable
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


def cores() -> int:
    """One for each of the machine's cores."""
    return os.cpu_count() or 1


def four_a_core() -> int:
    """Four for each of the machine's cores."""
    return 4 * cores()


class Settings(BaseSettings):
    """Settings of one server; each field is the variable POSELIFT_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="TCP port to listen on; 0 takes a free one.")
    ] = 8000

    device: Annotated[
        str,
        Field(
            pattern=r"^(auto|cpu|(cuda|tensorrt)(:\d{1,2})?(,(cuda|tensorrt):\d{1,2})*)$",
            description="Where the lifter runs: auto, cpu, cuda, cuda:N, tensorrt, tensorrt:N, or "
            "several GPUs as cuda:0,cuda:1, each with its own copy. A GPU asked for and not there "
            "refuses to start; auto takes the first where CUDA works, else the CPU, and says so.",
        ),
    ] = "auto"
    precision: Annotated[
        Literal["float32", "float16"],
        Field(
            description="What a float32 model computes with. float16 is for GPUs: slower on a CPU."
        ),
    ] = "float32"
    gpu_memory_mb: Annotated[
        float | None,
        Field(
            ge=64,
            le=1e6,
            description="Most memory that one model takes of each GPU, in each process (the server "
            "and every worker), MB (10^6 bytes); none: what there is.",
        ),
    ] = None
    engine_cache: Annotated[
        Path | None,
        Field(
            description="Folder in which TensorRT keeps the engines that it builds; none: tensorrt "
            "in the cache folder (POSELIFT_CACHE)."
        ),
    ] = None
    weights: Annotated[
        Path, Field(description="Folder of *.onnx model files.", default_factory=weights_folder)
    ]
    model: Annotated[
        str | None,
        Field(
            description="The model for requests that name none: a file of the folder; none: "
            f"{GPU_MODEL} on a GPU, {CPU_MODEL} elsewhere."
        ),
    ] = None
    detector: Annotated[
        str,
        Field(
            description="The 2D detector for requests that name none: mediapipe, rtmpose:MODEL, "
            "mmpose or mmpose:CONFIG,CHECKPOINT (docs/detectors.md). Requests may name the known "
            "ones; files and addresses are taken from here alone."
        ),
    ] = "mediapipe"

    lift_threads: Annotated[int, Field(ge=1, le=256, description="Threads of one model call.")] = 1
    lift_workers: Annotated[
        int | None,
        Field(ge=1, le=256, description="Model calls at once; none: one a core, on a GPU one."),
    ] = None
    batch_tokens: Annotated[
        int,
        Field(ge=1, le=1_000_000, description="Most frames, or windows x frames, of a model call."),
    ] = TOKENS_A_PASS
    max_liftings: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Liftings under way, of all callers; more get 503, but not a /stream's.",
        ),
    ] = 256
    max_lifts: Annotated[
        int,
        Field(
            ge=1,
            le=10_000,
            description="POST /lift requests under way, from the first byte to "
            "the answer; more get 503.",
        ),
    ] = 64
    max_streams: Annotated[
        int, Field(ge=1, le=100_000, description="Streams over POST /lift at once; more get 429.")
    ] = 256
    stream_idle_s: Annotated[
        float, Field(gt=0, le=86_400, description="A stream without requests for so long ends.")
    ] = 60
    videos_at_once: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="Worker processes: videos worked on at once.",
            default_factory=cores,
        ),
    ]
    videos_waiting: Annotated[
        int,
        Field(
            ge=0,
            le=100_000,
            description="Videos that are uploaded or wait beside those; more get 503.",
        ),
    ] = 100
    video_wait_s: Annotated[
        float,
        Field(ge=0, le=3600, description="POST /video waits so long for a result, else 202."),
    ] = 30
    video_wait_max_s: Annotated[
        float, Field(ge=0, le=3600, description="The longest wait that a request may prefer.")
    ] = 300

    max_body_mb: Annotated[
        float, Field(gt=0, le=4096, description="Longest POST /lift body, in MB (10^6 bytes).")
    ] = 64
    max_frames: Annotated[
        int, Field(ge=1, le=10_000_000, description="Most frames of one POST /lift.")
    ] = 100_000
    live_at_once: Annotated[
        int, Field(ge=1, le=100_000, description="Live streams at once; more get 1013.")
    ] = 64
    live_pictures_at_once: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Those of pictures among them, each with a detector of its own: 0.23 GB "
            "and more; more get 1013.",
            default_factory=four_a_core,
        ),
    ]
    live_load: Annotated[
        float,
        Field(
            gt=0,
            le=1e6,
            description="While live answers take longer than this share of the time between "
            "frames, no live stream may begin (1013, 503); from 1 on streams fall behind.",
        ),
    ] = 0.5
    live_always: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Live streams that are let in however late answers, if a frame alone takes "
            "so little that the machine would hold them.",
        ),
    ] = 4
    live_looks_at_once: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="Pictures of live streams that are looked at at once.",
            default_factory=cores,
        ),
    ]
    live_people: Annotated[
        int, Field(ge=1, le=1000, description="Most people in a frame of a live stream.")
    ] = 16
    live_message_mb: Annotated[
        float, Field(gt=0, le=1000, description="Longest message of a live stream, MB.")
    ] = 8
    live_queue: Annotated[
        int, Field(ge=1, le=10_000, description="Answers that wait for a live client to read them.")
    ] = 64
    live_idle_s: Annotated[
        float,
        Field(gt=0, le=86_400, description="A live client who sends or reads nothing is left."),
    ] = 60
    live_ping_s: Annotated[
        float, Field(gt=0, le=3600, description="Between pings; an answer may take as long again.")
    ] = 20

    max_upload_mb: Annotated[
        float, Field(gt=0, le=1e6, description="Longest POST /video body, in MB (10^6 bytes).")
    ] = 2048
    upload_stall_s: Annotated[
        float, Field(gt=0, le=3600, description="An upload that sends nothing for so long ends.")
    ] = 30
    max_picture_mp: Annotated[
        float, Field(gt=0, le=100, description="Largest picture of a video, in 10^6 pixels.")
    ] = 36
    max_video_frames: Annotated[int, Field(ge=1, le=10**9, description="Most frames.")] = 1_000_000
    max_video_s: Annotated[float, Field(gt=0, le=1e7, description="Longest video.")] = 14_400

    jobs_folder: Annotated[
        Path | None,
        Field(
            description="Folder of the job store, uploads and results, for one server at a time; "
            "none: poselift-jobs in the user's folder for state."
        ),
    ] = None
    min_free_mb: Annotated[
        float, Field(ge=0, le=1e9, description="Kept free on the disk of the jobs folder, MB.")
    ] = 1000
    job_memory_mb: Annotated[
        float, Field(ge=1, le=1e6, description="Most memory of one worker at work, MB.")
    ] = 4000
    job_cpu_s: Annotated[float, Field(gt=0, le=1e7, description="Most CPU time of a job.")] = 86_400
    job_wall_s: Annotated[float, Field(gt=0, le=1e7, description="Most time of a job.")] = 86_400
    job_stall_s: Annotated[
        float, Field(gt=0, le=1e7, description="A job without progress for so long is ended.")
    ] = 600
    job_attempts: Annotated[
        int, Field(ge=1, le=100, description="A job is begun so often, where servers die under it.")
    ] = 3
    results_kept_h: Annotated[
        float, Field(gt=0, le=1e6, description="A job's video and result are kept for so long.")
    ] = 24
    jobs_kept_h: Annotated[
        float, Field(ge=0, le=1e6, description="After that, what became of a job is still told.")
    ] = 168
    jobs_kept: Annotated[
        int, Field(ge=1, le=1_000_000, description="Most jobs kept; the oldest go first.")
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
        """The model for requests that name none; raises DeviceUnavailable."""
        if self.model is not None:
            return self.model
        on_gpu = find_devices(self.device)[0].is_gpu
        return GPU_MODEL if on_gpu and GPU_MODEL in known_models(self.weights) else CPU_MODEL

    @property
    def gpu(self) -> GpuOptions:
        return GpuOptions(self.gpu_memory_mb, self.engine_cache or cache_folder() / "tensorrt")

    def check(self) -> None:
        """What the types cannot say; raises InvalidInput."""
        read_name(self.detector)
        if not self.weights.is_dir():
            raise InvalidInput(f"POSELIFT_WEIGHTS: no such folder: {self.weights}", ("weights",))


def read_settings(**given: object) -> Settings:
    """Settings from `given`, then POSELIFT_* variables, then those of a file .env in the current
    folder. Raises InvalidInput, also for an unknown variable of that prefix."""
    _read_env_file()
    _check_names(os.environ)
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        faults = invalid_fields(error.errors()).faults
        named = [Fault((PREFIX + str(f.where[0]).upper(),), f.message) for f in faults]
        raise InvalidFields(named) from error


def _read_env_file() -> None:
    """Into the environment, so that POSELIFT_CACHE and worker processes get them too. Other names
    of the file are docker-compose.yml's."""
    for name, value in dotenv_values(ENV_FILE).items():
        if name.upper().startswith(PREFIX) and value is not None:
            os.environ.setdefault(name, value)


def _check_names(variables: Iterable[str]) -> None:
    known = {PREFIX + field.upper() for field in Settings.model_fields} | OTHER_VARIABLES
    given = {name.upper() for name in variables if name.upper().startswith(PREFIX)}
    faults = []
    for name in sorted(given - known):
        near = get_close_matches(name, known, 1, cutoff=0)[0]
        faults.append(Fault((name,), f"there is no such setting; the nearest is {near}"))
    if faults:
        raise InvalidFields(faults)
