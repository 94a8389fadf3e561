"""The table of `poselift bench`: measured ratios and their targets."""

import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import onnxruntime
import orjson

GROUPS = ("shipped", "video", "stream", "peak", "batching", "websocket", "json")
"""Groups of lines of the table, in its order."""


@dataclass(frozen=True)
class Line:
    """One ratio, its target if it has one, and the absolute figures as text."""

    what: str
    measured: float
    target: float | None = None
    at_most: bool = False
    detail: str = ""

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        held = self.measured <= self.target if self.at_most else self.measured >= self.target
        return "pass" if held else "short"

    @property
    def bound(self) -> str:
        if self.target is None:
            return ""
        return f"at {'most' if self.at_most else 'least'} {self.target:g}"


def markdown(lines: Iterable[Line]) -> Iterator[str]:
    """The table, row by row, as lines are measured."""
    yield "| | measured | to reach | | |"
    yield "|---|---|---|---|---|"
    for line in lines:
        cells = (line.what, f"{line.measured:.3g}", line.bound, line.verdict, line.detail)
        yield f"| {' | '.join(cells)} |"


def as_json(lines: Iterable[Line]) -> bytes:
    """The table as one JSON document, with the machine it was measured on."""
    rows = [{**asdict(line), "verdict": line.verdict} for line in lines]
    document = {"machine": machine(), "lines": rows}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def machine() -> dict[str, str]:
    """What the figures depend on."""
    return {
        "processor": _processor(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def _processor() -> str:
    """Its name on Linux, else its architecture."""
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return f"{len(names)} x{names[0]}".rstrip() if names else platform.machine()
