"""The fit as a file: every figure with its unit, and what training takes from it."""

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
from model.training.noise.shares import spell_lengths
from model.training.noise.swaps import spells

EXPERT: Mapping[str, float] = {
    "swap": 0.10,
    "burst": 0.10,
    "absent": 0.03,
    "lost": 0.15,
    "white": 0.3,
}
"""What was held of sources in general before anything was measured: shares of windows, and the
white part in those of the slow one."""
LIKE_THIS = 0.5
"""The share of sources that err as the measured detector does on clips as hard as these; the other
half as the expert held. A judgement: it weighs a few hard clips against all that users send."""
LEAST_SPREAD = 0.002
"""Of detectors better than this one; a judgement."""
LEAST_CORRELATION = 0.70
"""Of detectors that see each frame alone; a judgement."""
LONGEST_SWAP = 15
"""Frames; longer than any spell measured here, because an earlier trial with the same landmark
model, driven otherwise, found a third of a clip swapped."""
BIAS = 0.4
"""Of the spread; a judgement."""
MULTI_VIEW_PX = (16, 19, 30, 16)
MULTI_VIEW_BODY_PX = 650

_LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
_MEDIAN_OF_TWO_AXES = 1.1774
"""Median distance of a plane's normal error, in its spread along one axis (Rayleigh)."""

NOT_MEASURED = {
    "why": "one view without ground truth shows neither slow error nor bias",
    "multi-view error": {
        "value": MULTI_VIEW_PX,
        "unit": "px, median over 12 limb joints, one value a view; body 600 to 700 px high",
        "from": "four views of one clip of the family of balance_beam, against triangulation",
    },
    "built joints": {
        "value": {"hips": [202, 174], "shoulders": [332, 380], "shank": [403, 431]},
        "unit": "mm, in a detector's 3D against the recorded bodies; simulated in 3D by "
        "model/training/bodies.py",
        "from": "comparison of both, made before this fit",
    },
    "bias": {"value": BIAS, "unit": "of the spread; a judgement"},
}

_UNITS = {"low_score_joints_in_spells": "share of joints, of the frames that have a low score"}


def write_fit(fit: NoiseFit, path: Path) -> None:
    """As JSON, a list of numbers to a line; a file that is there is replaced."""
    spread_out = json.dumps(report(fit), indent=1)
    lists = re.compile(r"\[[^][{}]*\]")
    path.write_text(lists.sub(lambda found: " ".join(found[0].split()), spread_out) + "\n")


def report(fit: NoiseFit) -> dict[str, Any]:
    """Figures, people, tables, what could not be measured, and training's values."""
    return {
        "detector": {"name": fit.detector[0], "version": fit.detector[1]},
        "clips": sorted({person.track.clip for person in fit.people}),
        "figures": {name: {"value": v, "unit": unit} for name, (v, unit) in _figures(fit).items()},
        "people": [_person(p, level) for p, level in zip(fit.people, fit.levels, strict=True)],
        "not_measured": NOT_MEASURED,
        "noise": training_noise(fit),
    }


def training_noise(fit: NoiseFit) -> dict[str, Any]:
    """The values of model.training.simulation.detections.Noise that the fit decides."""
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
        "lost_joints": round(shares.low_score_joints_in_spells, 3),
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
            [round(float(r), 3) for r in found],
            f"of the fast error (what {WINDOW_S} s cubics leave), lags 0 to {LAGS} frames",
        )
        for fps, (found, _) in fit.seen.items()
    }
    lengths = sorted(spell.length for spell in fit.spells)
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
        "swap lengths": (lengths, "frames, each spell"),
        "burst lengths": (sorted(fit.bursts.frames), "frames, each spell"),
        "burst joints": (round(fit.bursts.joints, 3), "share of a frame's joints during a burst"),
        "burst size": (round(fit.bursts.times, 2), "spreads of the joint, median"),
        "score jitter": (round(fit.score_jitter, 3), "log-odds, frame to frame"),
        "score offset": (round(fit.score_offset, 3), "log-odds, person to person"),
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
        "seen_without_gap": spell_lengths(track.frames),
        "height_px": round(float(sorted(track.height_px)[len(track.frames) // 2])),
        "fast_spread": round(person.spread, 5),
        "fast_spread_of_joints": dict(
            zip(KINDS, (round(float(s), 5) for s in person.joint_spreads), strict=True)
        ),
        "slow_spread_of_a_hip": round(level, 4),
        "unit": "shares of the body's height in the picture",
        "swaps": [
            {"kind": s.kind, "frame": int(track.frames[s.start]), "length": s.length}
            for s in spells(person.swapped)
        ],
    }


def _longest(fit: NoiseFit) -> int:
    return max((spell.length for spell in fit.spells), default=1)


def _largest_spread(fit: NoiseFit, white: float) -> float:
    """A hip's: of the worst person as the fast part foretells it, but no more than the worst of
    the multi-view errors leaves room for."""
    limbs = geometric_mean([fit.factors[KINDS.index(limb)] for limb in _LIMBS])
    total = max(MULTI_VIEW_PX) / MULTI_VIEW_BODY_PX / _MEDIAN_OF_TWO_AXES
    allowed = total / (limbs * hypot(1, white, BIAS))
    return max(min(max(fit.levels), allowed), 2 * LEAST_SPREAD)


def _kind_shares(fit: NoiseFit) -> list[float]:
    """Of spells: legs, arms, all; one more is counted of each, since few spells say little."""
    counts = [1 + sum(s.kind == kind for s in fit.spells) for kind in ("legs", "arms", "all")]
    return [round(count / sum(counts), 3) for count in counts]
