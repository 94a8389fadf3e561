"""The models of the weights folder, each loaded once, on first use."""

import asyncio
import logging
import threading
from collections.abc import Mapping

from model import Lifter, ModelFileError, known_models, model_named
from service.settings import Settings

_log = logging.getLogger("poselift")


class Lifters:
    """Model name -> Lifter, shared by all threads."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._loaded: dict[str, Lifter] = {}
        self._lock = threading.Lock()

    def get(self, name: str | None = None) -> Lifter:
        """The named or default model; blocks while it is loaded. Raises UnknownName, ModelFileError
        and DeviceUnavailable."""
        name = self._settings.default_model if name is None else name
        if name in self._loaded:
            return self._loaded[name]
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = Lifter.load(
                    model_named(name, self._settings.weights),
                    threads=self._settings.lift_threads,
                    device=self._settings.device,
                    tokens_a_pass=self._settings.batch_tokens,
                    precision=self._settings.precision,
                    gpu=self._settings.gpu,
                )
            return self._loaded[name]

    async def loaded(self, name: str | None = None) -> Lifter:
        """`get` without blocking the event loop."""
        if (name or self._settings.default_model) in self._loaded:
            return self.get(name)
        return await asyncio.to_thread(self.get, name)

    def all(self) -> Mapping[str, Lifter | ModelFileError]:
        """Every model of the folder, or the error of loading it."""
        lifters: dict[str, Lifter | ModelFileError] = {}
        for name in known_models(self._settings.weights):
            try:
                lifters[name] = self.get(name)
            except ModelFileError as error:
                _log.error("model %s: %s", name, error)
                lifters[name] = error
        return lifters
