"""What `poselift bench` may be asked for."""

import argparse
from pathlib import Path

LINES = ("shipped", "video", "stream", "peak", "batching", "websocket", "json")
"""Groups of lines of the table, in its order."""


def add_arguments(bench: argparse.ArgumentParser) -> None:
    bench.description = (
        "Measure this machine: ratios of runs taken in turns, one thread, CPU time, medians."
    )
    bench.add_argument(
        "--only", nargs="+", choices=LINES, metavar="LINES", help=f"of {', '.join(LINES)}"
    )
    bench.add_argument(
        "--windows", nargs="+", type=int, default=[9, 27, 81], help="f, of random networks"
    )
    bench.add_argument("--frames", type=int, default=1000, help="length of the video (1000)")
    bench.add_argument("--rounds", type=int, default=3, help="the median is of so many (3)")
    bench.add_argument(
        "--detectors", type=Path, metavar="CLIP", help="compare the installed detectors on a clip"
    )
    bench.add_argument(
        "--detector",
        action="append",
        default=[],
        metavar="NAME",
        help="with --detectors: also this",
    )
    bench.add_argument("--tune", action="store_true", help="find the best POSELIFT_BATCH_TOKENS")
    bench.add_argument(
        "--load", action="store_true", help="find how many live streams this machine holds"
    )
    bench.add_argument("--json", type=Path, help="also write the figures to a file")
