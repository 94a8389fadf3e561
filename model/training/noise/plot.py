"""A plot of the fit: spread by joint, correlation in time, error by score, swaps."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from model.training.noise.fast_error import LAGS, expected_autocorrelation
from model.training.noise.fit import NoiseFit
from model.training.noise.person import KINDS, PersonErrors

_COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown")
_SWAP_COLOURS = {"legs": "tab:orange", "arms": "tab:blue", "all": "tab:red"}


def draw_fit(fit: NoiseFit, path: Path) -> None:
    """Write a PNG."""
    figure_type = import_module("matplotlib.figure").Figure
    figure = figure_type(figsize=(13, 9), layout="constrained")
    (joints, correlation), (scores, swaps) = figure.subplots(2, 2)
    _draw_joints(joints, fit)
    _draw_correlation(correlation, fit)
    _draw_scores(scores, fit)
    _draw_swaps(swaps, fit)
    name, version = fit.detector
    figure.suptitle(f"Detection noise of {name} {version} on {len(fit.people)} people")
    figure.savefig(path, dpi=90, metadata={"Software": None})


def _label(person: PersonErrors) -> str:
    return f"{person.track.clip}, person {person.track.person}"


def _draw_joints(axes: Any, fit: NoiseFit) -> None:
    width = 0.8 / len(fit.people)
    positions = np.arange(len(KINDS))
    for index, person in enumerate(fit.people):
        shift = (index + 0.5) * width - 0.4
        colour = _COLOURS[index % len(_COLOURS)]
        heights = person.joint_spreads * 100
        axes.bar(positions + shift, heights, width, color=colour, label=_label(person))
    axes.set_xticks(positions, KINDS, rotation=30)
    axes.set_ylabel("spread, % of body height")
    axes.set_title("Fast error by joint (residuals of a smooth curve of 0.25 s)")
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])  # room for the legend
    axes.legend(fontsize=8, ncols=2, loc="upper left")


def _draw_correlation(axes: Any, fit: NoiseFit) -> None:
    lags, noise = np.arange(LAGS + 1), fit.correlation
    measured = fit.autocorrelations.items()
    for (fps, (correlation, _)), colour in zip(measured, _COLOURS, strict=False):
        axes.plot(lags, correlation, "o", color=colour, label=f"measured, {fps:g} frames/s")
        expected = expected_autocorrelation(fps, noise.rho, noise.white)
        axes.plot(lags, expected, "-", color=colour, label="the fitted noise, filtered")
        white = expected_autocorrelation(fps, 0.0, 0.0)
        axes.plot(lags, white, ":", color=colour, label="white noise, filtered")
    axes.axhline(0, color="black", linewidth=0.5)
    axes.set_xlabel("lag, frames")
    low, high = noise.plausible
    axes.set_title(
        f"Fast error in time: correlation {noise.rho:g} over 1/50 s\n"
        f"({low:g} to {high:g} are plausible), white part {noise.white:g} of the slow one"
    )
    axes.legend(fontsize=8)


def _draw_scores(axes: Any, fit: NoiseFit) -> None:
    raw = expit(np.linspace(-4, 12, 500))
    axes.plot(raw, fit.scores.error(raw), color="tab:blue", label="error / least error")
    axes.plot(fit.scores.scores, fit.scores.times, "o", color="tab:blue", markersize=4)
    axes.plot(raw, fit.scores.reliability(raw), color="tab:green", label="reliability = 1 / error")
    scores = np.sort(np.concatenate([person.track.score.ravel() for person in fit.people]))
    shares = np.linspace(0, 1, len(scores))
    axes.plot(scores, shares, color="grey", linewidth=1, label="share of joints below this score")
    axes.set_ylim(0, None)
    axes.set_xscale("logit")
    axes.set_xlim(raw[0], raw[-1])
    axes.set_xlabel("detector's score (logit scale)")
    axes.set_title("Error by score")
    axes.legend(fontsize=8)


def _draw_swaps(axes: Any, fit: NoiseFit) -> None:
    for row, person in enumerate(fit.people):
        frames = person.track.frames
        for run in person.track.runs:
            length = run.stop - run.start
            axes.barh(row, length, left=frames[run.start], height=0.5, color="lightgrey")
        for swap in person.swaps:
            left, colour = frames[swap.start], _SWAP_COLOURS[swap.kind]
            axes.barh(row, swap.length, left=left, height=0.5, color=colour)
    axes.set_yticks(range(len(fit.people)), [_label(person) for person in fit.people], fontsize=8)
    axes.invert_yaxis()
    patch = import_module("matplotlib.patches").Patch
    meanings = {"detected": "lightgrey", **{f"{k} swapped": c for k, c in _SWAP_COLOURS.items()}}
    handles = [patch(color=colour, label=meaning) for meaning, colour in meanings.items()]
    axes.legend(handles=handles, fontsize=8, loc="upper right")
    axes.set_xlabel("frame of the video")
    axes.set_title("Left/right swaps")
