"""`poselift bench --load`: how many live streams of 30 frames a second this machine holds."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model import PoseError, model_named
from service.bench.live_clients import FPS, Seen
from service.bench.served import served
from service.bench.trial import Trial
from service.settings import read_settings

SECONDS = 6
ARRIVE_S = 1.5
"""Between streams that come one by one."""
FRAME_S = 1 / FPS
MOST = 256


@dataclass(frozen=True)
class Step:
    """So many streams at once, for SECONDS. p95_s is of the time from a frame to its first answer,
    infinite where more than one in twenty got none."""

    streams: int
    p95_s: float
    sent: int
    answered: int
    refused: int

    @property
    def held(self) -> bool:
        return self.p95_s < FRAME_S and not self.refused


def load(trial: Trial) -> Iterator[str]:
    """Markdown lines. A server in a process of its own, all clients in another on the same machine,
    over WS /stream that lets everybody in; the number of streams is doubled until it is too many,
    then bisected. At last a server as people run it is asked for twice what was held: all at once,
    and one after another."""
    settings = read_settings()
    shipped = model_named(settings.default_model, settings.weights)
    models = [Path(shutil.copy(shipped, trial.folder)), *trial.files()]
    yield "| model | streams | first answer, p95 ms | frames sent / answered | refused |"
    yield "|---|---|---|---|---|"
    for path in models:
        most = 0
        model = {"weights": path.parent, "model": path.stem}
        with served(model | {"live_at_once": MOST, "live_load": 1e6}) as server:
            for step in _search(server.url):
                yield _row(path.stem, step)
                most = max(most, step.streams) if step.held else most
        with served(model) as server:
            for how, arrive_s in (("all at once", 0.0), ("one by one", ARRIVE_S)):
                step = run(server.url, 2 * max(1, most), arrive_s)
                yield _row(f"{path.stem}, {how}, with refusal", step)


def _row(name: str, step: Step) -> str:
    answered = f"{step.sent} / {step.answered}"
    return f"| {name} | {step.streams} | {step.p95_s * 1e3:.1f} | {answered} | {step.refused} |"


def _search(url: str) -> Iterator[Step]:
    """Steps up to the first that does not hold, then between the two, to about a tenth."""
    held, lost, streams = 0, MOST + 1, 1
    run(url, 1)
    while lost - held > max(1, held // 8):
        step = run(url, streams)
        yield step
        if step.held:
            held = streams
        else:
            lost = streams
        streams = min(2 * streams, MOST) if lost > MOST else (held + lost) // 2


def run(url: str, streams: int, arrive_s: float = 0) -> Step:
    """One step; raises PoseError where the clients fail."""
    given = map(str, (url, streams, SECONDS, arrive_s))
    command = [sys.executable, "-m", "service.bench.live_clients", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PoseError(f"the clients failed: {done.stderr.strip()}")
    seen = Seen(**json.loads(done.stdout))
    unanswered = [np.inf] * (seen.sent - len(seen.first_s))
    p95_s = float(np.quantile(seen.first_s + unanswered, 0.95, method="higher")) if seen.sent else 0
    return Step(streams, p95_s, seen.sent, len(seen.first_s), sum(seen.refused.values()))
