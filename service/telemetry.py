"""Metrics of the service, for Prometheus."""

import time
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model import Decode, Encode, Lifter, Pass

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
BUCKETS_TOKENS = (1, 9, 27, 54, 81, 108, 162, 216, 324, 648, 2048, 8192)
BUCKETS_LIFTINGS = (1, 2, 4, 8, 16, 32, 64, 128)


class Telemetry:
    """The metrics of one server, in their own registry."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "poselift_requests",
            "Requests answered.",
            ("method", "path", "status"),
            registry=self._registry,
        )
        self.durations_s = Histogram(
            "poselift_request_duration_seconds",
            "From the first line of the request to the last byte of the response.",
            ("method", "path"),
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "poselift_requests_in_flight", "Requests in progress.", registry=self._registry
        )
        self._frames = Counter("poselift_frames_lifted", "Poses returned.", registry=self._registry)
        self.live_streams = Gauge(
            "poselift_live_streams", "Open live streams.", registry=self._registry
        )
        self.live_dropped = Counter(
            "poselift_live_answers_dropped",
            "Provisional poses dropped because the client reads slowly.",
            registry=self._registry,
        )
        self._live_load = Gauge(
            "poselift_live_load_ratio",
            "Time to a live result / time between its frames, 90 % quantile.",
            registry=self._registry,
        )
        self._jobs = Gauge(
            "poselift_jobs", "Jobs in the store.", ("status",), registry=self._registry
        )
        self._jobs_ended = Counter(
            "poselift_jobs_ended", "Jobs that ended.", ("status",), registry=self._registry
        )
        self._model = Gauge(
            "poselift_model_info",
            "The default model and its devices.",
            ("name", "version", "provider", "devices", "precision"),
            registry=self._registry,
        )
        call_tokens = Histogram(
            "poselift_call_tokens",
            "Frames, or windows x frames, of a model call.",
            ("half",),
            buckets=BUCKETS_TOKENS,
            registry=self._registry,
        )
        call_liftings = Histogram(
            "poselift_call_liftings",
            "Lift tasks that shared a model call.",
            ("half",),
            buckets=BUCKETS_LIFTINGS,
            registry=self._registry,
        )
        liftings_s = Histogram(
            "poselift_lifting_seconds",
            "Duration of a lift task, including waiting.",
            ("live",),
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._lifting_cpu_s = Counter(
            "poselift_lifting_cpu_seconds",
            "CPU time of lifting; the rest of the process is overhead of the service.",
            registry=self._registry,
        )
        self._queue = Gauge(
            "poselift_liftings_waiting",
            "Lift tasks that wait for their next model call.",
            registry=self._registry,
        )
        # looked up once: every live frame updates four of them
        self._calls = {
            pass_: (call_tokens.labels(half), call_liftings.labels(half))
            for pass_, half in ((Encode, "spatial"), (Decode, "temporal"))
        }
        self._liftings_s = {live: liftings_s.labels(str(live).lower()) for live in (False, True)}

    def model_called(self, merged: Pass, tasks: int) -> None:
        call_tokens, call_liftings = self._calls[type(merged)]
        call_tokens.observe(merged.tokens)
        call_liftings.observe(tasks)

    def lifting_took(self, cpu_s: float) -> None:
        self._lifting_cpu_s.inc(cpu_s)

    def lifting_ended(self, duration_s: float, live: bool) -> None:
        self._liftings_s[live].observe(duration_s)

    def watch_queue(self, length: Callable[[], int]) -> None:
        self._queue.set_function(length)

    def watch_live(self, load: Callable[[], float]) -> None:
        self._live_load.set_function(load)

    def lifted(self, frames: int) -> None:
        self._frames.inc(frames)

    def loaded(self, lifter: Lifter) -> None:
        devices = ",".join(lifter.devices)
        labels = lifter.name, lifter.version, lifter.provider, devices, lifter.info.precision
        self._model.labels(*labels).set(1)

    def jobs(self, counts: Mapping[str, int]) -> None:
        for status, count in counts.items():
            self._jobs.labels(status).set(count)

    def job_ended(self, status: str) -> None:
        self._jobs_ended.labels(status).inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)


class RequestMetrics:
    """Middleware that counts and times every request."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry):
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        start_s = time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            with self._telemetry.in_flight.track_inprogress():
                await self._app(scope, receive, watch)
        finally:
            self._count(scope, status, time.perf_counter() - start_s)

    def _count(self, scope: Scope, status: int, duration_s: float) -> None:
        # the route, not the path: clients could create any number of labels
        path = getattr(scope.get("route"), "path", "unknown")
        method = scope["method"] if path != "unknown" else "unknown"
        self._telemetry.requests.labels(method, path, status).inc()
        self._telemetry.durations_s.labels(method, path).observe(duration_s)
