"""The reliability diagram: confidence against the true share."""

from importlib import import_module
from pathlib import Path

import numpy as np

from model.training.confidence.reliability import Reliability


def draw_reliability(reliability: Reliability, model: str, path: Path) -> None:
    """Write a PNG or SVG, depending on the file's suffix."""
    figure = import_module("matplotlib.figure").Figure(figsize=(9, 4), layout="constrained")
    shares, errors = figure.subplots(1, 2)
    bins = reliability.bins
    confidence = np.array([each.confidence for each in bins])
    shares.plot([0, 1], [0, 1], color="grey", linestyle=":", label="ideal")
    within = [each.within for each in bins]
    shares.plot(confidence, within, "o-", color="tab:blue", label="bins of the confidence")
    joints = [each.share for each in bins]
    shares.bar(confidence, joints, 0.06, color="lightgrey", label="share of all joints")
    shares.set_xlabel("confidence")
    shares.set_ylabel(f"share within {reliability.within_mm:g} mm")
    shares.legend(fontsize=8)
    mean_mm = [each.error_mm for each in bins]
    errors.plot(confidence, mean_mm, "o-", color="tab:red")
    errors.set_xlabel("confidence")
    errors.set_ylabel("mean error, mm")
    errors.set_ylim(0, None)
    figure.suptitle(f"{model} on people that model and confidence were not fitted to")
    figure.savefig(path, dpi=90, metadata={"Software": None} if path.suffix == ".png" else None)
