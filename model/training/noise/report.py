"""The fit as JSON: every figure with its unit, and the values that training uses."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from math import hypot
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from model.training.noise.fast_error import LAGS, WINDOW_S
from model.training.noise.fit import NoiseFit
from model.training.noise.person import KINDS, PersonErrors
from model.training.noise.shares import run_lengths

EXPERT: Mapping[str, float] = {
    "swap": 0.10,
    "burst": 0.10,
    "absent": 0.03,
    "lost": 0.15,
    "white": 0.3,
}
"""Estimates for detectors in general, made before any measurement: shares of windows, and the white
part relative to the slow one."""
LIKE_THIS = 0.5
"""The share of sources with the measured noise; the others have the expert's values. An estimate:
the measured videos are few and hard compared with what users send."""
LEAST_SPREAD = 0.002
"""For detectors better than the measured one; an estimate."""
LEAST_CORRELATION = 0.70
"""For detectors that process each frame independently; an estimate."""
LONGEST_SWAP = 15
"""Frames; longer than any swap measured here, because an earlier trial with the same landmark model
but other tracking found a third of a video swapped."""
BIAS = 0.4
"""Relative to the spread; an estimate."""
MULTI_VIEW_PX = (16, 19, 30, 16)
MULTI_VIEW_BODY_PX = 650

_LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
_MEDIAN_OF_TWO_AXES = 1.1774
"""Median length of a normal 2D error divided by its spread along one axis (Rayleigh)."""

NOT_MEASURED = {
    "why": "one view without ground truth shows neither slow error nor bias",
    "multi-view error": {
        "value": MULTI_VIEW_PX,
        "unit": "px, median over 12 limb joints, one value per view; body 600 to 700 px high",
        "from": "four views of a video similar to balance_beam, against triangulation",
    },
    "built joints": {
        "value": {"hips": [202, 174], "shoulders": [332, 380], "shank": [403, 431]},
        "unit": "mm, a detector's 3D against the recorded bodies; simulated in 3D by "
        "model/training/simulation/bodies.py",
        "from": "comparison of both, made before this fit",
    },
    "bias": {"value": BIAS, "unit": "of the spread; an estimate"},
}

_UNITS = {"low_score_joints_in_intervals": "share of joints, in frames that have a low score"}


def write_fit(fit: NoiseFit, path: Path) -> None:
    """Write JSON with each list of numbers on one line; an existing file is replaced."""
    text = json.dumps(report(fit), indent=1)
    lists = re.compile(r"\[[^][{}]*\]")
    path.write_text(lists.sub(lambda match: " ".join(match[0].split()), text) + "\n")


def report(fit: NoiseFit) -> dict[str, Any]:
    """The JSON document: figures, people, what could not be measured, and training's values."""
    return {
        "detector": {"name": fit.detector[0], "version": fit.detector[1]},
        "clips": sorted({person.track.clip for person in fit.people}),
        "figures": {name: {"value": v, "unit": unit} for name, (v, unit) in _figures(fit).items()},
        "people": [_person(p, level) for p, level in zip(fit.people, fit.levels, strict=True)],
        "not_measured": NOT_MEASURED,
        "noise": training_noise(fit),
    }


def training_noise(fit: NoiseFit) -> dict[str, Any]:
    """The fitted values of model.training.simulation.detections.Noise."""
    shares, longest = fit.shares, _longest(fit)
    measured = {
        "swap": shares.swapped_windows,
        "burst": shares.burst_windows,
        "absent": shares.absent_windows,
        "lost": shares.low_score_windows,
        "white": fit.correlation.white,
    }
    mixed = {
        name: round(LIKE_THIS * value + (1 - LIKE_THIS) * EXPERT[name], 3)
        for name, value in measured.items()
    }
    return mixed | {
        "spread": [LEAST_SPREAD, round(_largest_spread(fit, mixed["white"]), 4)],
        "correlation": [LEAST_CORRELATION, max(fit.correlation.plausible[1], LEAST_CORRELATION)],
        "joints": dict(zip(KINDS, (round(f, 2) for f in fit.factors), strict=True)),
        "burst_times": round(fit.bursts.times, 2),
        "burst_joints": round(fit.bursts.joints, 3),
        "burst_longest": max(fit.bursts.frames, default=1),
        "swap_longest": max(longest, LONGEST_SWAP),
        "swap_kinds": _kind_shares(fit),
        "lost_joints": round(shares.low_score_joints_in_intervals, 3),
        "hidden": round(fit.scores.times[0], 2),
        "scored_alike": LIKE_THIS,
        "score_table": {"scores": fit.scores.scores, "times": fit.scores.times},
        "score_jitter": round(fit.score_jitter, 2),
        "score_offset": round(fit.score_offset, 2),
    }


def _figures(fit: NoiseFit) -> dict[str, tuple[Any, str]]:
    """Name -> (value, unit)."""
    rates = {
        f"autocorrelation at {fps:g} frames/s": (
            [round(float(r), 3) for r in correlation],
            f"of the fast error (residuals of {WINDOW_S} s cubics), lags 0 to {LAGS} frames",
        )
        for fps, (correlation, _) in fit.autocorrelations.items()
    }
    lengths = sorted(swap.length for swap in fit.swaps)
    shares = {
        name: (round(value, 4), _UNITS.get(name, f"share of all {name.rpartition('_')[2]}"))
        for name, value in asdict(fit.shares).items()
    }
    return {
        "slow correlation": (fit.correlation.rho, "over 1/50 s"),
        "slow correlation, plausible": (list(fit.correlation.plausible), "over 1/50 s"),
        "white": (fit.correlation.white, "of the slow part's spread"),
        "white, against steps": (
            round(fit.correlation.white_per_step, 2),
            "of the spread of the slow part's step in 1/50 s",
        ),
        "swap lengths": (lengths, "frames, each swap"),
        "burst lengths": (sorted(fit.bursts.frames), "frames, each burst"),
        "burst joints": (round(fit.bursts.joints, 3), "share of a frame's joints during a burst"),
        "burst size": (round(fit.bursts.times, 2), "spreads of the joint, median"),
        "score jitter": (round(fit.score_jitter, 3), "log-odds, between frames"),
        "score offset": (round(fit.score_offset, 3), "log-odds, between people"),
        **shares,
        **rates,
    }


def _person(person: PersonErrors, level: float) -> dict[str, Any]:
    track = person.track
    return {
        "clip": track.clip,
        "person": track.person,
        "fps": track.fps,
        "frames": len(track.frames),
        "seen_without_gap": run_lengths(track.frames),
        "height_px": round(float(sorted(track.height_px)[len(track.frames) // 2])),
        "fast_spread": round(person.spread, 5),
        "fast_spread_of_joints": dict(
            zip(KINDS, (round(float(s), 5) for s in person.joint_spreads), strict=True)
        ),
        "slow_spread_of_a_hip": round(level, 4),
        "unit": "shares of the body's height in the image",
        "swaps": [
            {"kind": s.kind, "frame": int(track.frames[s.start]), "length": s.length}
            for s in person.swaps
        ],
    }


def _longest(fit: NoiseFit) -> int:
    return max((swap.length for swap in fit.swaps), default=1)


def _largest_spread(fit: NoiseFit, white: float) -> float:
    """A hip's spread: that of the worst person as extrapolated from the fast part, limited by the
    largest multi-view error."""
    limbs = geometric_mean([fit.factors[KINDS.index(limb)] for limb in _LIMBS])
    total = max(MULTI_VIEW_PX) / MULTI_VIEW_BODY_PX / _MEDIAN_OF_TWO_AXES
    allowed = total / (limbs * hypot(1, white, BIAS))
    return max(min(max(fit.levels), allowed), 2 * LEAST_SPREAD)


def _kind_shares(fit: NoiseFit) -> list[float]:
    """Shares of legs, arms and all among swaps, with add-one smoothing because swaps are few."""
    counts = [1 + sum(s.kind == kind for s in fit.swaps) for kind in ("legs", "arms", "all")]
    return [round(count / sum(counts), 3) for count in counts]
