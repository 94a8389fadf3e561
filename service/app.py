"""The web service: create_app(settings) builds it, and `uvicorn service.app:app` starts it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from model import PoseError
from service import about, lift, videos
from service.bodies import Lingering
from service.documented import describe_problems
from service.problems import add_problem_handlers
from service.running import Running
from service.settings import Settings, read_settings
from service.telemetry import Counted


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
    for door in (lift, videos, about):
        app.include_router(door.router)
    add_problem_handlers(app)
    describe_problems(app)
    app.add_middleware(Lingering)
    app.add_middleware(Counted, telemetry=running.telemetry)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    running: Running = app.state.running
    await asyncio.to_thread(running.open)
    warming = asyncio.create_task(asyncio.to_thread(running.warm))
    try:
        yield
    finally:
        await warming


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
