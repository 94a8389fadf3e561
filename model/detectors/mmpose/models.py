"""A config and a checkpoint -> a model of MMPose's or MMDetection's with all its weights."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from model.errors import DetectorUnavailable, InvalidInput

KEPT_OPEN = 4


def opened(package: str, config: Path, weights: Path, device: str) -> Any:
    """The model of `mmpose` or `mmdet`, loaded once as long as its files stay the same.

    Raises InvalidInput where there is no such config, DetectorUnavailable for one that cannot be
    used, and for a checkpoint that is none or that leaves a weight at random.
    """
    if not config.is_file():
        raise InvalidInput(f"no such config file: {config}", ("detector",))
    changed_ns = config.stat().st_mtime_ns, weights.stat().st_mtime_ns
    return _loaded(package, config, weights, changed_ns, device)


@lru_cache(KEPT_OPEN)
def _loaded(
    package: str, config: Path, weights: Path, changed_ns: tuple[int, int], device: str
) -> Any:
    model = _built(package, config, device)
    checkpoint = _read_checkpoint(weights)
    _fill(model, checkpoint.get("state_dict", checkpoint), f"{weights.name} for {config.stem}")
    meta = (checkpoint.get("meta") or {}).get("dataset_meta")
    if meta:
        model.dataset_meta = meta
    return model


def _built(package: str, config: Path, device: str) -> Any:
    build = {"mmpose": "init_model", "mmdet": "init_detector"}[package]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(import_module(f"{package}.apis"), build)(str(config), device=device)
    except Exception as error:  # a config is a program: anything may go wrong in it
        raise DetectorUnavailable(
            f"the config {config.name} cannot be used ({type(error).__name__}: {error})"
        ) from error


def _fill(model: Any, state: Mapping[str, Any], what: str) -> None:
    """Strict about what is missing: MMEngine's own loading would leave it at random."""
    try:
        missing, _ = model.load_state_dict(state, strict=False)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise DetectorUnavailable(f"{what}: the checkpoint is another model's ({error})") from error
    if missing:
        raise DetectorUnavailable(
            f"{what}: the checkpoint is another model's, it lacks {', '.join(missing[:3])}"
            f"{' ...' if len(missing) > 3 else ''}"
        )


def _read_checkpoint(weights: Path) -> dict[str, Any]:
    torch = import_module("torch")
    try:
        with _harmless_classes(), weights.open("rb") as file:
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch each have errors of their own
        # torch wraps the reason in advice to load unsafely
        why = str(error).rpartition("WeightsUnpickler error: ")[2].partition("\n")[0]
        raise DetectorUnavailable(
            f"{weights.name} is no checkpoint that can be read safely ({why})"
        ) from error
    if not isinstance(checkpoint, dict):
        raise DetectorUnavailable(f"{weights.name} holds no weights: {type(checkpoint).__name__}")
    return checkpoint


@contextmanager
def _harmless_classes() -> Iterator[None]:
    """What checkpoints of MMEngine hold beside tensors; anything else is refused, because reading
    it could run a program."""
    multiarray = import_module("numpy.core.multiarray")
    buffer = import_module("mmengine.logging.history_buffer").HistoryBuffer

    def statistic(owner: object, name: str) -> object:
        """All that such a checkpoint asks of getattr: its log's functions."""
        if owner is buffer and name in ("min", "max", "mean", "current"):
            return getattr(owner, name)
        raise DetectorUnavailable(f"the checkpoint asks for {owner}.{name}")

    kinds = {type(np.dtype(kind)) for kind in "bBhHiIlLqQefd?U"}
    rebuild = [multiarray._reconstruct, multiarray.scalar]
    # NumPy 2 writes another name for the same
    renamed = [(one, f"numpy._core.multiarray.{one.__name__}") for one in rebuild]
    log = [buffer, (statistic, "builtins.getattr")]
    allowed = [np.ndarray, np.dtype, *kinds, *rebuild, *renamed, *log]
    with import_module("torch").serialization.safe_globals(allowed):
        yield
