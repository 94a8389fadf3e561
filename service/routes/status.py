"""GET /models, /version, /health and /metrics."""

import platform
from importlib import metadata
from typing import Any

import onnxruntime
from fastapi import APIRouter, Depends, Response

from model import Lifter, ModelFileError
from service.routes.queries import no_options
from service.state import Service
from service.telemetry import CONTENT_TYPE
from service.wire.openapi import routes as documented

router = APIRouter(dependencies=[Depends(no_options)])


def version() -> str:
    """The installed version of poselift."""
    try:
        return metadata.version("poselift")
    except metadata.PackageNotFoundError:
        return "not installed"


@router.get("/models", **documented.MODELS)
def get_models(service: Service) -> dict[str, Any]:
    """All models with their metadata, and the default."""
    models = [_describe(name, lifter) for name, lifter in service.lifters.all().items()]
    return {"default": service.settings.default_model, "models": models}


def _describe(name: str, lifter: Lifter | ModelFileError) -> dict[str, Any]:
    if isinstance(lifter, ModelFileError):
        return {"name": name, "error": "the file cannot be used; see the log of the service"}
    info = lifter.info
    return {
        "name": name,
        "version": info.version,
        "frames": info.frames,
        "skeleton": lifter.skeleton.name,
        "joints": list(lifter.skeleton.joints),
        "channels": info.channels,
        "normalisation": info.normalisation,
        "unit": "metre",
        "readouts": list(info.readouts),
        "precision": info.precision,
        "height_m": info.height_m,
        "confidence_within_mm": info.confidence_within_mm,
        "fps": list(info.fps),
        "metrics": dict(info.metrics),
        "licence": info.licence,
        "training_commit": info.training_commit,
        "provider": lifter.provider,
        "devices": list(lifter.devices),
    }


@router.get("/version", **documented.VERSION)
def get_version(service: Service) -> dict[str, Any]:
    """Versions of poselift, Python, ONNX Runtime and the default model."""
    lifter = service.lifters.get()
    return {
        "poselift": version(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "model": {"name": lifter.name, "version": lifter.version},
    }


@router.get("/health/live", **documented.LIVE)
async def get_live() -> dict[str, str]:
    """200 while the process responds."""
    return {"status": "live"}


@router.get("/health/ready", **documented.READY)
def get_ready(service: Service) -> dict[str, Any]:
    """200 once the model is warm and a worker has opened the detector; else 503."""
    service.check_ready()
    lifter = service.lifters.get()
    return {
        "status": "ready",
        "provider": lifter.provider,
        "devices": list(lifter.devices),
        "precision": lifter.info.precision,
        "model": {"name": lifter.name, "version": lifter.version},
        "detector": service.settings.detector,
    }


@router.get("/metrics", **documented.METRICS)
async def get_metrics(service: Service) -> Response:
    """Metrics in Prometheus' text format."""
    service.telemetry.jobs(service.jobs.ledger.counts())
    return Response(service.telemetry.text(), media_type=CONTENT_TYPE)
