"""Memory that a running service frees."""

import asyncio
import gc
import weakref
from pathlib import Path

import pytest

from service import app as service_app
from service.app import create_app
from service.settings import read_settings


class Cycle:
    """A reference cycle, as failed connections leave them."""

    def __init__(self) -> None:
        self.itself = self


def test_running_service_collects_reference_cycles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python counts allocations, which are too few to start a collection for hours."""
    monkeypatch.setattr(service_app, "COLLECT_S", 0.1)
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()

    async def serve() -> None:
        app = create_app(read_settings(jobs_folder=tmp_path))
        async with app.router.lifespan_context(app):
            assert gc.get_freeze_count() > frozen
            left = weakref.ref(Cycle())
            async with asyncio.timeout(60):
                while left() is not None:
                    await asyncio.sleep(0.05)
        assert gc.get_freeze_count() == 0

    try:
        asyncio.run(serve())
    finally:
        gc.set_threshold(*thresholds)
