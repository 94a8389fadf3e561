"""Every knob, its unit and its limit; read from POSELIFT_* variables and checked at start."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from model import DETECTORS, InvalidInput, UnknownName, weights_folder
from service.errors import Fault, InvalidFields, invalid_fields

MB = 1_000_000


class Settings(BaseSettings):
    """Settings of one server; each field is the variable POSELIFT_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="POSELIFT_", extra="forbid", frozen=True)

    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="TCP port to listen on; 0 takes a free one.")
    ] = 8000

    device: Annotated[
        str,
        Field(
            pattern=r"^(auto|cpu|cuda(:\d{1,2})?)$",
            description="Where the lifter runs: auto, cpu, cuda or cuda:N. CUDA asked for and "
            "not there refuses to start; auto takes what the ONNX Runtime was built with.",
        ),
    ] = "auto"
    weights: Annotated[
        Path, Field(description="Folder of *.onnx model files.", default_factory=weights_folder)
    ]
    model: Annotated[
        str, Field(description="The model for requests that name none: a file of the folder.")
    ] = "poseformer-27"
    detector: Annotated[str, Field(description="The 2D detector for requests that name none.")] = (
        "mediapipe"
    )

    lift_threads: Annotated[int, Field(ge=1, le=256, description="Threads of one model call.")] = 1
    lifts_at_once: Annotated[
        int, Field(ge=1, le=256, description="POST /lift requests that are worked on at once.")
    ] = max(1, os.cpu_count() or 1)
    lifts_waiting: Annotated[
        int, Field(ge=0, le=10_000, description="POST /lift requests that wait; more get 503.")
    ] = 32
    videos_at_once: Annotated[
        int, Field(ge=1, le=256, description="Videos that are received or worked on at once.")
    ] = max(1, (os.cpu_count() or 1) // 2)
    videos_waiting: Annotated[
        int, Field(ge=0, le=10_000, description="POST /video requests that wait; more get 503.")
    ] = 8

    max_body_mb: Annotated[
        float, Field(gt=0, le=4096, description="Longest POST /lift body, in MB (10^6 bytes).")
    ] = 64
    max_frames: Annotated[
        int, Field(ge=1, le=10_000_000, description="Most frames of one POST /lift.")
    ] = 100_000
    max_upload_mb: Annotated[
        float, Field(gt=0, le=1e6, description="Longest POST /video body, in MB (10^6 bytes).")
    ] = 2048
    upload_folder: Annotated[
        Path | None,
        Field(description="Folder for uploads while they are worked on; none: the system's."),
    ] = None
    upload_stall_s: Annotated[
        float, Field(gt=0, le=3600, description="An upload that sends nothing for so long ends.")
    ] = 30

    @property
    def max_body_bytes(self) -> int:
        return int(self.max_body_mb * MB)

    @property
    def max_upload_bytes(self) -> int:
        return int(self.max_upload_mb * MB)

    def check(self) -> None:
        """What the types cannot say; raises InvalidInput."""
        if self.detector not in DETECTORS:
            raise UnknownName("detector", self.detector, DETECTORS)
        if not self.weights.is_dir():
            raise InvalidInput(f"POSELIFT_WEIGHTS: no such folder: {self.weights}", ("weights",))
        folder = self.upload_folder
        if folder is not None and not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise InvalidInput(
                f"POSELIFT_UPLOAD_FOLDER: not a folder that can be written to: {folder}",
                ("upload_folder",),
            )


def read_settings(**given: object) -> Settings:
    """Settings from POSELIFT_* variables, `given` ones first; raises InvalidInput."""
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        faults = invalid_fields(error.errors()).faults
        named = [Fault((f"POSELIFT_{str(f.where[0]).upper()}",), f.message) for f in faults]
        raise InvalidFields(named) from error
