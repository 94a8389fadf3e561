"""`poselift plot`: a result drawn as curves over time."""

import argparse
from pathlib import Path

from model import plot_motion, plot_suffix
from service.wire.files import check_place, read_result


def plot(options: argparse.Namespace) -> int:
    """Plot a result of `poselift video` or an npz of `poselift lift`; raises PoseError, OSError."""
    out: Path = options.output or options.result.with_suffix(".png")
    plot_suffix(out)
    check_place(out)
    result = read_result(options.result)
    plot_motion(result, out, joints=options.joints, angles=options.angles, people=options.person)
    return 0
