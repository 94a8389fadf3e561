"""`poselift serve`: listen, load, and serve until a signal."""

import asyncio
import socket
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.config import LOGGING_CONFIG

from model import InvalidInput
from service.app import create_app
from service.errors import NotReady
from service.live.connection import LiveConnection
from service.settings import Settings
from service.state import ServiceState

STOP_S = 10
"""Requests in progress at a stop signal have this long to end."""
READY_CHECK_S = 0.1
SAMPLE = Path("tests/clips/two_people.mp4")
"""In a checkout; the banner's example otherwise names no file."""
ANY_ADDRESS = ("192.0.2.1", 9)
"""Reserved for documentation (RFC 5737): choosing a route to it sends nothing."""
_OURS = {"poselift": {"handlers": ["default"], "level": "INFO", "propagate": False}}
LOGGING = LOGGING_CONFIG | {"loggers": LOGGING_CONFIG["loggers"] | _OURS}
"""uvicorn's format, also for the service's own log."""


def serve(settings: Settings) -> int:
    """Serve until a signal. Raises PoseError for a taken port and for unusable settings, models or
    devices."""
    app = create_app(settings)
    state: ServiceState = app.state.service
    with _listen(settings.host, settings.port) as listening:
        host, port = listening.getsockname()[:2]
        state.open()
        print(f"poselift is starting on {host} port {port}", flush=True)
        banner = _banner(host, port, settings.jobs_path)
        _Server(_config(app, settings), state, banner).run(sockets=[listening])
    return 0


class _Server(uvicorn.Server):
    """Prints `banner` when /health/ready begins to answer 200."""

    def __init__(self, config: uvicorn.Config, state: ServiceState, banner: str):
        super().__init__(config)
        self._state = state
        self._banner = banner

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._printing = asyncio.create_task(self._print_banner())

    async def _print_banner(self) -> None:
        while not self._is_ready():
            await asyncio.sleep(READY_CHECK_S)
        print(self._banner, flush=True)

    def _is_ready(self) -> bool:
        try:
            self._state.check_ready()
        except NotReady:
            return False
        return True


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
        # numbers hardly compress, and compressing a message costs more than making it
        ws_per_message_deflate=False,
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family)
        # inherited by every connection: asyncio sets it only where the socket names its protocol,
        # and without it a live message waits up to 40 ms for the client's delayed ACK
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise InvalidInput(
            f"cannot listen on {host}:{port}: {error.strerror}; "
            "choose another port with --port or POSELIFT_PORT",
            ("port",),
        ) from error


def _banner(host: str, port: int, jobs: Path) -> str:
    """`host` is the bound address."""
    bound = ip_address(host)
    url = _url(host, port)
    lines = [f"poselift is ready on {url} (Ctrl-C stops it)"]
    if bound.is_unspecified:
        url = _url("127.0.0.1" if bound.version == 4 else "::1", port)
        others = _url(_own_address(), port)
        lines.append(f"  on all network interfaces: {url} here, {others} from other machines")
    example = SAMPLE if SAMPLE.is_file() else "YOUR_VIDEO.mp4"
    lines += [
        f"  documentation: {url}/docs",
        f"  uploads and results: {jobs}",
        f"  try: curl -F file=@{example} {url}/video",
    ]
    return "\n".join(lines)


def _own_address() -> str:
    """The address that other machines reach this one by; without a network its host name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(ANY_ADDRESS)
        address: str = probe.getsockname()[0]
        return address
    return socket.gethostname()


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
