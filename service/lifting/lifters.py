"""The models of the weights folder, each loaded once, when first asked for."""

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
        """The model of that name, or the default one; raises UnknownName, ModelFileError and
        DeviceUnavailable. Blocks while a model is loaded."""
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
        """What `get` gives; the event loop goes on while a model is loaded."""
        if (name or self._settings.default_model) in self._loaded:
            return self.get(name)
        return await asyncio.to_thread(self.get, name)

    def all(self) -> Mapping[str, Lifter | ModelFileError]:
        """Every model of the folder, or why it cannot be used."""
        found: dict[str, Lifter | ModelFileError] = {}
        for name in known_models(self._settings.weights):
            try:
                found[name] = self.get(name)
            except ModelFileError as error:
                _log.error("model %s: %s", name, error)
                found[name] = error
        return found
