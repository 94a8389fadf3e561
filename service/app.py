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
from service.routes import jobs as following
from service.routes import lift
from service.routes import status as about
from service.routes import video as videos
from service.settings import Settings, read_settings
from service.state import Running
from service.telemetry import Counted
from service.wire.bodies import Lingering
from service.wire.handlers import add_problem_handlers
from service.wire.openapi.routes import describe_problems

COLLECT_EVERY = 100_000
"""New containers between two runs of Python's garbage collector. A request of a thousand frames is
20,000 lists, and at the usual 700 looking through them again and again takes longer than reading
them."""
COLLECT_S = 10.0
"""Seconds between two looks for what lies in cycles: a connection leaves three containers in them,
and Python by itself would look when 40,000 have come and gone."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service as an ASGI application. Raises InvalidInput for settings that do not fit."""
    running = Running(read_settings() if settings is None else settings)
    app = FastAPI(
        title="poselift",
        summary="Videos or 2D keypoints in, 3D human poses out.",
        version=about.version(),
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    app.state.running = running
    for door in (lift, stream, videos, following, about):
        app.include_router(door.router)
    add_problem_handlers(app)
    describe_problems(app)
    app.add_middleware(Lingering)
    app.add_middleware(Counted, telemetry=running.telemetry)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    running: Running = app.state.running
    limit_heaps()
    gc.set_threshold(COLLECT_EVERY)
    await asyncio.to_thread(running.open)
    # what is loaded stays, and need not be looked through again: 0.1 s each time
    gc.collect()
    gc.freeze()
    collecting = asyncio.create_task(_collect())
    running.jobs.start()
    warming = asyncio.create_task(asyncio.to_thread(running.warm))
    try:
        with _on_stop(running.release):
            yield
    finally:
        collecting.cancel()
        gc.unfreeze()
        await warming
        await running.jobs.stop()
        await asyncio.to_thread(running.batcher.close)
        await asyncio.to_thread(running.watching.shutdown)


async def _collect() -> None:
    while True:
        await asyncio.sleep(COLLECT_S)
        gc.collect()


@contextmanager
def _on_stop(release: Callable[[], None]) -> Iterator[None]:
    """Tell those who wait or stream as soon as a signal stops the server: it ends this context only
    when its last answer is sent, which may be theirs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    handlers = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(release)
        handler = handlers[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for one in handlers:
        signal.signal(one, stop)
    try:
        yield
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)


def __getattr__(name: str) -> FastAPI:
    """`app`, built when an ASGI server asks for it; what is wrong is one line, and no start."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        app = create_app()
        app.state.running.open()
    except PoseError as error:
        sys.exit(f"poselift cannot start: {error}")
    globals()["app"] = app
    return app
