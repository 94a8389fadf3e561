"""The state of one service: settings, models, capacities, and whether it is ready."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import numpy as np
from fastapi import Depends, Request

from model import (
    H36M17,
    KeypointSequence,
    Lifter,
    PoseError,
    calls_at_once,
    check_detector,
    why_no_gpu,
)
from service.admission.capacity import Capacity
from service.admission.load import LiveLoad
from service.errors import NotReady
from service.jobs.jobs import Jobs
from service.lifting.batcher import Batcher
from service.lifting.lifters import Lifters
from service.lifting.streams import Streams
from service.settings import Settings
from service.telemetry import Telemetry

_log = logging.getLogger("poselift")


class ServiceState:
    """Built at start; `open` then checks that the service can work."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.lifters = Lifters(settings)
        self.lifts = Capacity("lifts", limit=settings.max_lift_requests, retry_after_s=2)
        self.telemetry = Telemetry()
        calls = settings.lift_workers or calls_at_once(settings.device)
        self.batcher = Batcher(
            workers=calls,
            tokens=settings.batch_tokens,
            max_tasks=settings.max_lift_tasks,
            telemetry=self.telemetry,
        )
        self.live_load = LiveLoad(settings.live_load, settings.live_always, calls)
        self.telemetry.watch_live(self.live_load.load)
        self.streams = Streams(
            self.lifters,
            self.batcher,
            self.live_load,
            most=settings.max_streams,
            idle_s=settings.stream_idle_s,
        )
        self.jobs = Jobs(settings, self.telemetry)
        self.live = Capacity("live streams", limit=settings.live_at_once, retry_after_s=10)
        self.live_pictures = Capacity(
            "live streams of pictures", limit=settings.live_pictures_at_once, retry_after_s=10
        )
        self.watching = ThreadPoolExecutor(settings.live_looks_at_once, "watching")
        self._not_ready: str | None = "the model is being loaded and warmed up"

    def open(self) -> None:
        """Check the settings and the detector, load the default model and open the jobs folder.
        Repeated calls are cheap. Raises PoseError."""
        self.settings.check()
        lifter = self.lifters.get()
        self.telemetry.loaded(lifter)
        check_detector(self.settings.detector, lifter.device)
        self.jobs.open()

    def warm(self) -> None:
        """Run the model once at each call size, so that the first requests do not wait, and time a
        single frame on the idle machine."""
        try:
            lifter = self.lifters.get()
            lifter.warm()
            self.live_load.alone_s = min(_frame_time_s(lifter) for _ in range(5))
            self._not_ready = None
            self._log_device(lifter)
        except PoseError as error:
            _log.error("not ready: %s", error)
            self._not_ready = str(error)
        except Exception:
            _log.exception("not ready")
            self._not_ready = "the first run of the model failed; see the log of the service"

    def _log_device(self, lifter: Lifter) -> None:
        devices = f"{', '.join(lifter.devices)} ({lifter.provider}, {lifter.info.precision})"
        _log.info("%s %s is warm on %s", lifter.name, lifter.version, devices)
        if self.settings.device == "auto" and lifter.device == "cpu":
            _log.info("the device auto is the CPU: %s", why_no_gpu())

    def release(self) -> None:
        """Called when the service begins to stop: ends waiting requests and live streams."""
        self.jobs.ledger.release()
        self.live.stop()

    def check_ready(self) -> None:
        """Raises NotReady until the model is warm and a worker has opened the detector."""
        if reason := self._not_ready or self.jobs.trouble:
            raise NotReady(reason)


def _frame_time_s(lifter: Lifter) -> float:
    """How long `lifter` takes for one frame."""
    joints = len(H36M17.joints)
    xy = np.linspace(100, 900, joints * 2, dtype=np.float32).reshape(1, joints, 2)
    frame = KeypointSequence(xy, np.ones((1, joints), np.float32), (1000, 1000), 50.0, H36M17)
    start_s = time.monotonic()
    lifter.lift(frame)
    return time.monotonic() - start_s


def _service(request: Request) -> ServiceState:
    service: ServiceState = request.app.state.service
    return service


Service = Annotated[ServiceState, Depends(_service)]
