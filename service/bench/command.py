"""`poselift bench`: what was asked for in, a table out."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from model import PoseError
from service.bench import batching, lifting, wire
from service.bench.arguments import LINES
from service.bench.load import load
from service.bench.peers import Peers
from service.bench.report import Line, as_json, machine, markdown
from service.bench.trial import Trial
from service.bench.tune import tune
from service.settings import read_settings

OpenPeers = Callable[[], Peers]
Measure = Callable[[Trial], Iterable[Line]]

MEASURES: dict[str, Measure] = {
    "shipped": lifting.shipped,
    "video": lifting.whole_video,
    "stream": lifting.stream,
    "peak": lifting.peak,
    "batching": batching.batching,
    "websocket": wire.websocket,
    "json": wire.json_body,
}
NO_TORCH = ("shipped",)


def bench(asked: argparse.Namespace, open_peers: OpenPeers) -> int:
    """Prints what was asked for, as it is measured. Lines of the table that need torch are left out
    where it is missing, unless they were asked for by name; raises PoseError then."""
    if asked.tune:
        return _print(tune(read_settings(), asked.rounds))
    wanted, peers = _wanted(["load"] if asked.load else asked.only, open_peers)
    done: list[Line] = []
    with TemporaryDirectory(prefix="poselift-bench-") as folder:
        trial = Trial(peers, Path(folder), tuple(asked.windows), asked.frames, asked.rounds)
        print(", ".join(f"{name} {value}" for name, value in machine().items()), end="\n\n")
        if asked.load:
            return _print(load(trial))
        _print(markdown(_kept(wanted, trial, done)))
    if asked.json:
        asked.json.write_bytes(as_json(done))
    return 0


def _print(rows: Iterable[str]) -> int:
    for row in rows:
        print(row, flush=True)
    return 0


def _wanted(only: list[str] | None, open_peers: OpenPeers) -> tuple[list[str], Peers | None]:
    names = only or list(LINES)
    if set(names) <= set(NO_TORCH):
        return names, None
    try:
        return names, open_peers()
    except PoseError as error:
        if only:
            raise
        print(f"poselift: {error}; measured without: {', '.join(NO_TORCH)}", file=sys.stderr)
        return list(NO_TORCH), None


def _kept(names: list[str], trial: Trial, done: list[Line]) -> Iterator[Line]:
    for name in names:
        for line in MEASURES[name](trial):
            done.append(line)
            yield line
