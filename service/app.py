"""The web service: create_app(settings) builds it, and `uvicorn service.app:app` starts it."""

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType

from fastapi import FastAPI

from model import PoseError, limit_heaps
from service.live import stream
from service.routes import jobs, lift, status, video
from service.settings import Settings, read_settings
from service.state import ServiceState
from service.telemetry import RequestMetrics
from service.wire.bodies import DrainRejectedBodies
from service.wire.handlers import add_problem_handlers
from service.wire.openapi.routes import describe_problems

COLLECT_EVERY = 100_000
"""Allocations between two runs of Python's garbage collector. A request of a thousand frames makes
20,000 lists: with the default of 700, collecting takes longer than reading them."""
COLLECT_S = 10.0
"""Interval of full collections. Each connection leaves three containers in reference cycles; Python
alone would collect them after 40,000 connections."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service as an ASGI application. Raises InvalidInput for bad settings."""
    service = ServiceState(read_settings() if settings is None else settings)
    app = FastAPI(
        title="poselift",
        summary="Videos or 2D keypoints in, 3D human poses out.",
        version=status.version(),
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    app.state.service = service
    for route in (lift, stream, video, jobs, status):
        app.include_router(route.router)
    add_problem_handlers(app)
    describe_problems(app)
    app.add_middleware(DrainRejectedBodies)
    app.add_middleware(RequestMetrics, telemetry=service.telemetry)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: ServiceState = app.state.service
    limit_heaps()
    gc.set_threshold(COLLECT_EVERY)
    await asyncio.to_thread(service.open)
    # exempt the loaded models and modules from collection, which would take 0.1 s each time
    gc.collect()
    gc.freeze()
    collecting = asyncio.create_task(_collect())
    service.jobs.start()
    warming = asyncio.create_task(asyncio.to_thread(service.warm))
    try:
        with _on_stop(service.release):
            yield
    finally:
        collecting.cancel()
        gc.unfreeze()
        await warming
        await service.jobs.stop()
        await asyncio.to_thread(service.batcher.close)
        await asyncio.to_thread(service.watching.shutdown)


async def _collect() -> None:
    while True:
        await asyncio.sleep(COLLECT_S)
        gc.collect()


@contextmanager
def _on_stop(release: Callable[[], None]) -> Iterator[None]:
    """Call `release` as soon as a signal stops the server, which leaves this context only after
    its last response. That response may be one that waits for `release`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(release)
        handler = handlers[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in handlers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def __getattr__(name: str) -> FastAPI:
    """Build `app` on first access. Exits with a one-line message if the service cannot start."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        app = create_app()
        app.state.service.open()
    except PoseError as error:
        sys.exit(f"poselift cannot start: {error}")
    globals()["app"] = app
    return app
