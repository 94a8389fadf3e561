"""The reliability diagram: what a confidence says against what is true."""

from importlib import import_module
from pathlib import Path

import numpy as np

from model.training.confidence.judge import Judgement


def draw_reliability(judgement: Judgement, model: str, path: Path) -> None:
    """Write a PNG or SVG, by the name; matplotlib is loaded here and nowhere else."""
    figure = import_module("matplotlib.figure").Figure(figsize=(9, 4), layout="constrained")
    reliability, errors = figure.subplots(1, 2)
    confidence = np.array([one.confidence for one in judgement.bins])
    within = np.array([one.within for one in judgement.bins])
    share = np.array([one.share for one in judgement.bins])
    reliability.plot([0, 1], [0, 1], color="grey", linestyle=":", label="as it should be")
    reliability.plot(confidence, within, "o-", color="tab:blue", label="tenths of the confidence")
    reliability.bar(confidence, share, 0.06, color="lightgrey", label="share of all joints")
    reliability.set_xlabel("confidence")
    reliability.set_ylabel(f"share truly within {judgement.within_mm:g} mm")
    reliability.legend(fontsize=8)
    mean_mm = [one.error_mm for one in judgement.bins]
    errors.plot(confidence, mean_mm, "o-", color="tab:red")
    errors.set_xlabel("confidence")
    errors.set_ylabel("mean error, mm")
    errors.set_ylim(0, None)
    figure.suptitle(f"{model} on people that neither it nor the confidence was fitted to")
    figure.savefig(path, dpi=90, metadata={"Software": None} if path.suffix == ".png" else None)
