"""`poselift bench`: measures the selected lines and prints the table."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from model import PoseError
from service.bench import lifting, wire
from service.bench.load import load
from service.bench.networks import Peers, Trial
from service.bench.report import GROUPS, Line, as_json, machine, markdown
from service.bench.tune import tune
from service.settings import read_settings

OpenPeers = Callable[[], Peers]

MEASURES: dict[str, Callable[[Trial], Iterable[Line]]] = {
    "shipped": lifting.shipped,
    "video": lifting.whole_video,
    "stream": lifting.stream,
    "peak": lifting.peak,
    "batching": lifting.batching,
    "websocket": wire.websocket,
    "json": wire.json_body,
}
WITHOUT_TORCH = ("shipped",)


def bench(arguments: argparse.Namespace, open_peers: OpenPeers) -> int:
    """Prints each line as it is measured. Without torch, lines that need it are skipped; raises
    PoseError if one of them was selected by name."""
    if arguments.tune:
        return _print(tune(read_settings(), arguments.rounds))
    groups, peers = _select(["load"] if arguments.load else arguments.only, open_peers)
    with TemporaryDirectory(prefix="poselift-bench-") as folder:
        trial = Trial(
            peers, Path(folder), tuple(arguments.windows), arguments.frames, arguments.rounds
        )
        print(", ".join(f"{name} {value}" for name, value in machine().items()), end="\n\n")
        if arguments.load:
            return _print(load(trial))
        lines: list[Line] = []
        _print(markdown(_measure(groups, trial, lines)))
    if arguments.json:
        arguments.json.write_bytes(as_json(lines))
    return 0


def _print(rows: Iterable[str]) -> int:
    for row in rows:
        print(row, flush=True)
    return 0


def _select(only: list[str] | None, open_peers: OpenPeers) -> tuple[list[str], Peers | None]:
    groups = only or list(GROUPS)
    if set(groups) <= set(WITHOUT_TORCH):
        return groups, None
    try:
        return groups, open_peers()
    except PoseError as error:
        if only:
            raise
        print(f"poselift: {error}; measured without: {', '.join(WITHOUT_TORCH)}", file=sys.stderr)
        return list(WITHOUT_TORCH), None


def _measure(groups: list[str], trial: Trial, lines: list[Line]) -> Iterator[Line]:
    for group in groups:
        for line in MEASURES[group](trial):
            lines.append(line)
            yield line
