"""Models of MMPose and MMDetection, built from a config and strictly loaded from a checkpoint."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from model.errors import DetectorUnavailable, InvalidInput

CACHED_MODELS = 4


def load_model(package: str, config: Path, weights: Path, device: str) -> Any:
    """The model of `mmpose` or `mmdet`, cached until its files change.

    Raises InvalidInput if the config does not exist, DetectorUnavailable if it cannot be used or
    the checkpoint cannot be read or lacks a weight.
    """
    if not config.is_file():
        raise InvalidInput(f"no such config file: {config}", ("detector",))
    changed_ns = config.stat().st_mtime_ns, weights.stat().st_mtime_ns
    return _load_cached(package, config, weights, changed_ns, device)


@lru_cache(CACHED_MODELS)
def _load_cached(
    package: str, config: Path, weights: Path, changed_ns: tuple[int, int], device: str
) -> Any:
    model = _build(package, config, device)
    checkpoint = _read_checkpoint(weights)
    _load_weights(
        model, checkpoint.get("state_dict", checkpoint), f"{weights.name} for {config.stem}"
    )
    meta = (checkpoint.get("meta") or {}).get("dataset_meta")
    if meta:
        model.dataset_meta = meta
    return model


def _build(package: str, config: Path, device: str) -> Any:
    function = {"mmpose": "init_model", "mmdet": "init_detector"}[package]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(import_module(f"{package}.apis"), function)(str(config), device=device)
    except Exception as error:  # a config is a program and may raise anything
        raise DetectorUnavailable(
            f"the config {config.name} cannot be used ({type(error).__name__}: {error})"
        ) from error


def _load_weights(model: Any, state: Mapping[str, Any], source: str) -> None:
    """Raises if weights are missing; MMEngine would leave them random."""
    try:
        missing, _ = model.load_state_dict(state, strict=False)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise DetectorUnavailable(f"{source}: checkpoint of another model ({error})") from error
    if missing:
        raise DetectorUnavailable(
            f"{source}: checkpoint of another model, it lacks {', '.join(missing[:3])}"
            f"{' ...' if len(missing) > 3 else ''}"
        )


def _read_checkpoint(weights: Path) -> dict[str, Any]:
    torch = import_module("torch")
    try:
        with _safe_classes(), weights.open("rb") as file:
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch each raise their own
        # torch wraps the reason in advice to load unsafely
        reason = str(error).rpartition("WeightsUnpickler error: ")[2].partition("\n")[0]
        raise DetectorUnavailable(
            f"{weights.name} is not a checkpoint that can be read safely ({reason})"
        ) from error
    if not isinstance(checkpoint, dict):
        raise DetectorUnavailable(
            f"{weights.name}: expected a dict, got {type(checkpoint).__name__}"
        )
    return checkpoint


@contextmanager
def _safe_classes() -> Iterator[None]:
    """Allow what MMEngine's checkpoints contain beside tensors; unpickling other classes could run
    code."""
    multiarray = import_module("numpy.core.multiarray")
    buffer = import_module("mmengine.logging.history_buffer").HistoryBuffer

    def statistic(owner: object, name: str) -> object:
        """The only uses of getattr in such a checkpoint: its log's functions."""
        if owner is buffer and name in ("min", "max", "mean", "current"):
            return getattr(owner, name)
        raise DetectorUnavailable(f"the checkpoint refers to {owner}.{name}, which is not allowed")

    kinds = {type(np.dtype(kind)) for kind in "bBhHiIlLqQefd?U"}
    rebuild = [multiarray._reconstruct, multiarray.scalar]
    # NumPy 2 writes another module name
    renamed = [(function, f"numpy._core.multiarray.{function.__name__}") for function in rebuild]
    log = [buffer, (statistic, "builtins.getattr")]
    allowed = [np.ndarray, np.dtype, *kinds, *rebuild, *renamed, *log]
    with import_module("torch").serialization.safe_globals(allowed):
        yield
