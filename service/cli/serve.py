"""Listen, say where, and serve until told to stop."""

import socket

import uvicorn
from fastapi import FastAPI
from uvicorn.config import LOGGING_CONFIG

from model import InvalidInput
from service.app import create_app
from service.live.connection import LiveConnection
from service.settings import Settings

STOP_S = 10
"""How long requests under way may take to end when the service is told to stop."""
_OURS = {"poselift": {"handlers": ["default"], "level": "INFO", "propagate": False}}
LOGGING = LOGGING_CONFIG | {"loggers": LOGGING_CONFIG["loggers"] | _OURS}
"""uvicorn's way to log, for what the service says too."""


def serve(settings: Settings) -> int:
    """Serve until a signal. Raises PoseError for a taken port, and for settings, models or devices
    with which the service could not do its work."""
    app = create_app(settings)
    with _listen(settings.host, settings.port) as listening:
        app.state.running.open()
        url = _url(settings.host, listening.getsockname()[1])
        print(f"poselift answers on {url} (what it can do: {url}/docs; Ctrl-C stops it)")
        print(f"try: curl -F file=@clip.mp4 {url}/video", flush=True)
        uvicorn.Server(_config(app, settings)).run(sockets=[listening])
    return 0


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=LOGGING,
        log_level="info",
        timeout_graceful_shutdown=STOP_S,
        server_header=False,
        ws=LiveConnection,
        ws_max_size=settings.live_message_bytes,
        ws_ping_interval=settings.live_ping_s,
        ws_ping_timeout=settings.live_ping_s,
        # numbers hardly shrink, and compressing an answer costs more than making it
        ws_per_message_deflate=False,
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family)
        # inherited by every connection: asyncio sets it only where the socket names its protocol,
        # and without it an answer of a live stream waits up to 40 ms for the client's delayed ACK
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise InvalidInput(
            f"cannot listen on {host}:{port}: {error.strerror}; "
            "choose another port with --port or POSELIFT_PORT",
            ("port",),
        ) from error


def _url(host: str, port: int) -> str:
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}
    shown = everywhere.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"
