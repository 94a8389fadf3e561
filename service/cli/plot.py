"""`poselift plot`: a result as curves over time."""

import argparse
from pathlib import Path

from model import plot_motion, plot_suffix
from service.wire.files import check_place, read_result


def plot(asked: argparse.Namespace) -> int:
    """A result of `poselift video`, or an npz of `poselift lift`, in a figure; raises PoseError,
    OSError."""
    out: Path = asked.output or asked.result.with_suffix(".png")
    plot_suffix(out)
    check_place(out)
    result = read_result(asked.result)
    plot_motion(result, out, joints=asked.joints, angles=asked.angles, people=asked.person)
    return 0
