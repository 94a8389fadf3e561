"""The noise fit recovers known noise that was added to recorded motion."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

from model import BLAZEPOSE33, COCO17, H36M17, InvalidInput
from model.detectors.person import Person
from model.training.noise.fast_error import (
    Correlation,
    autocorrelation,
    expected_autocorrelation,
    fit_correlation,
    residuals,
    window_frames,
)
from model.training.noise.fit import NoiseFit, fit_noise
from model.training.noise.person import KINDS, PersonErrors
from model.training.noise.plot import draw_fit
from model.training.noise.report import report, training_noise, write_fit
from model.training.noise.score_table import ScoreTable, fit_score_table
from model.training.noise.shares import absent, count_shares, describe_bursts, run_lengths
from model.training.noise.swaps import SwapInterval, swap_intervals, swap_path, unswapped
from model.training.noise.tracks import Track, track_people
from model.training.recordings import load_recordings
from model.training.simulation.cameras import Draw
from model.training.simulation.detections import FITTED, Noise, detect
from paths import ROOT
from tests.conftest import DATA

SIZE = (1280, 960)
HEIGHT_PX = 600.0
KIND = np.array([KINDS.index(name.split("_")[-1]) for name in COCO17.joints])


@cache
def walk(person: int = 0, fps: float = 50.0, frames: int = 140) -> Track:
    """A recorded person seen by a static camera, COCO-17, all scores 1."""
    recordings = load_recordings([DATA / "recordings.npz"])
    times = torch.arange(frames) * (float(recordings.fps[person]) / fps)
    joints = recordings.at(torch.tensor([person]), times[None])[0].numpy().astype(float)
    rows = [H36M17.index(name if name in H36M17.joints else "head") for name in COCO17.joints]
    xy = joints[:, rows, :2] * [1, -1]
    scale = HEIGHT_PX / np.median((xy.max(axis=1) - xy.min(axis=1)).max(axis=-1))
    xy = (xy - xy.mean(axis=(0, 1))) * scale + np.array(SIZE) / 2
    return Track("walk", 1, fps, SIZE, np.arange(frames), xy, np.ones(xy.shape[:2]))


def first_order(rng: np.random.Generator, shape: tuple[int, ...], rho: float) -> np.ndarray:
    """Unit noise along axis 0 with correlation rho between neighbours."""
    fresh = rng.normal(size=shape)
    slow = [fresh[0]]
    for row in fresh[1:]:
        slow.append(rho * slow[-1] + np.sqrt(1 - rho**2) * row)
    return np.array(slow)


def noisy(track: Track, rng: np.random.Generator, spread: np.ndarray, rho: float) -> Track:
    """Add noise; `spread` (broadcast to (T, 17)) is relative to the body's height."""
    error = first_order(rng, track.xy.shape, rho)
    return replace(track, xy=track.xy + error * (spread * HEIGHT_PX)[..., None])


def swapped(track: Track, swap: SwapInterval) -> Track:
    parts = {"legs": ("hip", "knee", "ankle"), "arms": ("shoulder", "elbow", "wrist")}
    chosen = parts["legs"] + parts["arms"] if swap.kind == "all" else parts[swap.kind]
    rows = [i for i, name in enumerate(COCO17.joints) if name.endswith(chosen)]
    mirror = [COCO17.mirror[row] for row in rows]
    frames = np.arange(swap.start, swap.start + swap.length)
    xy = track.xy.copy()
    xy[np.ix_(frames, rows)] = track.xy[np.ix_(frames, mirror)]
    return replace(track, xy=xy)


@cache
def known_fit() -> NoiseFit:
    """Two people with white noise of 0.4 %, three times that at wrists, low scores where the error
    is doubled, two swaps and a gap."""
    rng = np.random.default_rng(1)
    tracks = []
    for person in (0, 1):
        track = walk(person)
        odds = rng.normal(3, 2, size=track.score.shape)
        spread = 0.004 * np.where(odds < 2, 2.0, 1.0)
        spread[:, KINDS.index("wrist") == KIND] *= 3
        tracks.append(noisy(replace(track, score=expit(odds)), rng, spread, rho=0.0))
    tracks[0] = swapped(swapped(tracks[0], SwapInterval("all", 30, 4)), SwapInterval("legs", 90, 7))
    kept = np.r_[0:100, 106:140]
    tracks[1] = replace(tracks[1], frames=kept, xy=tracks[1].xy[kept], score=tracks[1].score[kept])
    return fit_noise(tracks, ("known", "1"))


def test_residuals_of_a_smooth_walk_are_near_zero() -> None:
    for person in (0, 1):
        for fps in (30.0, 60.0):
            assert PersonErrors.of(walk(person, fps, frames=80)).spread < 0.001


@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_fit_recovers_spread_of_white_noise(fps: float, rng: np.random.Generator) -> None:
    track = noisy(walk(0, fps, frames=80), rng, np.array([[0.005]]), rho=0.0)
    person = PersonErrors.of(track)
    passed = fit_correlation({fps: (np.r_[1.0, white_rest(fps)], 1)}).passed[fps]
    assert person.spread / passed == pytest.approx(0.005, rel=0.1)


def white_rest(fps: float) -> np.ndarray:
    """Autocorrelation of filtered white noise, from lag 1 on."""
    return expected_autocorrelation(fps, 0.0, 0.0)[1:]


@pytest.mark.parametrize(("rho", "white"), [(0.5, 0.3), (0.8, 0.3), (0.94, 0.2)])
def test_fit_recovers_white_per_step_and_bounds_rho(
    rho: float, white: float, rng: np.random.Generator
) -> None:
    measured = {}
    for fps in (30.0, 60.0):
        slow = first_order(rng, (4000, 10), rho ** (50 / fps))
        errors = residuals(slow + white * rng.normal(size=slow.shape), fps)
        measured[fps] = autocorrelation([errors / errors.std()]), errors.size
    fitted = fit_correlation(measured)
    low, high = fitted.plausible
    assert low <= rho <= high
    assert fitted.white_per_step == pytest.approx(white / np.sqrt(1 - rho**2), rel=0.2)
    for fps, (correlation, _) in measured.items():
        expected = expected_autocorrelation(fps, fitted.rho, fitted.white)
        np.testing.assert_allclose(correlation, expected, atol=0.05)


@pytest.mark.parametrize(("rho", "white"), [(0.0, 0.0), (0.8, 0.3), (0.94, 0.2)])
def test_share_that_passes_the_filter_equals_measured_share(
    rho: float, white: float, rng: np.random.Generator
) -> None:
    slow = first_order(rng, (20_000, 10), rho ** (50 / 60))
    both = slow + white * rng.normal(size=slow.shape)
    fitted = fit_correlation({60.0: (expected_autocorrelation(60.0, rho, white), 1)})
    assert fitted.rho == pytest.approx(rho, abs=0.021)
    assert residuals(both, 60.0).std() / both.std() == pytest.approx(fitted.passed[60.0], rel=0.05)


def test_passing_share_of_white_noise_matches_the_formula() -> None:
    """A cubic over n points removes the share 3 (3n² - 7) / (4n (n² - 4)) of the variance, the
    filter's centre weight (Savitzky and Golay 1964)."""
    fitted = fit_correlation({60.0: (np.r_[1.0, white_rest(60.0)], 1)})
    n = 17
    centre = 3 * (3 * n * n - 7) / (4 * n * (n * n - 4))
    assert window_frames(60.0) == n
    assert fitted.rho == 0
    assert fitted.passed[60.0] == pytest.approx(np.sqrt(1 - centre), rel=1e-6)


@pytest.mark.parametrize("kind", ["legs", "arms", "all"])
@pytest.mark.parametrize("length", [1, 5, 30])
def test_swap_is_found_and_repaired_to_the_frame(
    kind: str, length: int, rng: np.random.Generator
) -> None:
    frontal = _frontal(noisy(walk(0), rng, np.array([[0.004]]), rho=0.0))
    swap = SwapInterval(kind, 50, length)
    track = swapped(frontal, swap)
    path = swap_path(track)
    assert swap_intervals(path) == [swap]
    xy, _ = unswapped(track, path)
    np.testing.assert_array_equal(xy, frontal.xy)


def test_no_swap_is_found_without_one() -> None:
    for person in (0, 1):
        assert swap_intervals(swap_path(_frontal(walk(person)))) == []


def _frontal(track: Track) -> Track:
    """Left and right far apart, as in a frontal view."""
    xy = track.xy.copy()
    for row, name in enumerate(COCO17.joints):
        xy[:, row, 0] += {"left": 60, "right": -60}.get(name.split("_")[0], 0)
    return replace(track, xy=xy)


def test_swaps_do_not_cross_a_gap() -> None:
    track = _frontal(walk(0))
    kept = np.r_[0:50, 60:140]
    gap = replace(track, frames=kept, xy=track.xy[kept], score=track.score[kept])
    assert [(run.start, run.stop) for run in gap.runs] == [(0, 50), (50, 130)]
    assert swap_intervals(swap_path(gap)) == []
    assert absent(gap).tolist() == list(range(50, 60))


def test_joint_factors_are_recovered() -> None:
    factors = dict(zip(KINDS, known_fit().factors, strict=True))
    assert factors["hip"] == 1
    assert factors["wrist"] == pytest.approx(3.0, rel=0.2)
    assert factors["ankle"] == pytest.approx(1.0, rel=0.2)


def test_score_table_recovers_known_errors() -> None:
    """Scores with log-odds below 2 (0.88) have twice the error."""
    table = known_fit().scores
    assert table.error(np.array(0.3)) == pytest.approx(2.0, rel=0.25)
    assert table.error(np.array(0.99)) == pytest.approx(1.0, abs=0.25)
    raw = np.linspace(0, 1, 2001)
    assert (np.diff(table.reliability(raw)) >= 0).all()
    assert table.reliability(raw[:1]) == 0
    assert table.reliability(raw[1:]).min() > 0 and table.reliability(raw[-1:]) == 1


def test_scores_unrelated_to_errors_give_a_flat_table(rng: np.random.Generator) -> None:
    table = fit_score_table(rng.uniform(size=20_000), rng.normal(size=20_000))
    assert max(table.times) < 1.15
    same = fit_score_table(np.ones(500), rng.normal(size=500))
    assert same == ScoreTable((1.0,), (1.0,))


@pytest.mark.parametrize(
    ("scores", "times"),
    [((), ()), ((0.5, 0.2), (2.0, 1.0)), ((0.2, 0.5), (1.0, 2.0)), ((0.2,), (2.0,))],
)
def test_invalid_score_table_raises(scores: tuple[float, ...], times: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInput, match="table"):
        ScoreTable(scores, times)


def test_swaps_gaps_and_bursts_are_counted(rng: np.random.Generator) -> None:
    track = noisy(walk(0), rng, np.array([[0.004]]), rho=0.0)
    xy, score = track.xy.copy(), track.score.copy()
    xy[60:62, :4] += 120
    score[20:30, :2] = 0.1
    person = PersonErrors.of(replace(track, xy=xy, score=score))
    size = person.burst_sizes(passed=0.9)
    shares = count_shares([person], [size])
    windows = 140 - 27 + 1
    assert shares.burst_windows == pytest.approx((27 + 1) / windows)
    assert shares.low_score_windows == pytest.approx(30 / windows)
    assert shares.low_score_joints == pytest.approx(20 / (140 * 17))
    assert shares.cropped_frames == shares.absent_windows == shares.swapped_windows == 0
    bursts = describe_bursts([person], [size])
    assert bursts.frames == (2,) and bursts.joints == pytest.approx(4 / 17)
    assert bursts.times > 5


def test_cropped_frames_are_counted() -> None:
    xy = walk(0).xy.copy()
    xy[:14, 5, 0], xy[14:20, 6, 1] = -30, SIZE[1] - 2
    person = PersonErrors.of(replace(walk(0), xy=xy))
    shares = count_shares([person], [person.burst_sizes(passed=0.9)])
    assert shares.cropped_frames == pytest.approx(20 / 140)
    assert shares.outside_joints == pytest.approx(14 / (140 * 17))


def test_run_lengths() -> None:
    assert run_lengths(np.array([3, 4, 5, 9, 11, 12])) == [3, 1, 2]
    assert run_lengths(np.array([], np.int64)) == []


def test_report_states_a_unit_for_every_figure(tmp_path: Path) -> None:
    write_fit(known_fit(), tmp_path / "noise.json")
    written = json.loads((tmp_path / "noise.json").read_text())
    assert written == json.loads(json.dumps(report(known_fit())))
    assert all(figure["unit"] for figure in written["figures"].values())
    assert written["clips"] == ["walk"] and len(written["people"]) == 2
    swaps = [(s["kind"], s["frame"], s["length"]) for s in written["people"][0]["swaps"]]
    assert ("all", 30, 4) in swaps


def test_plot_is_a_png(tmp_path: Path) -> None:
    draw_fit(known_fit(), tmp_path / "noise.png")
    assert (tmp_path / "noise.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_simulation_uses_every_fitted_value() -> None:
    fitted = training_noise(known_fit())
    names = {field.name for field in fields(Noise)}
    assert set(fitted) <= names
    committed = json.loads((ROOT / "model" / "training" / "simulation" / FITTED).read_text())
    assert set(committed["noise"]) == set(fitted)
    default = vars(Noise())
    assert {name: default[name] for name in fitted} == committed["noise"]


def test_simulated_scores_map_back_to_their_errors() -> None:
    generator = torch.Generator().manual_seed(0)
    draw = Draw(400, torch.device("cpu"), generator)
    off = dict.fromkeys(("clean", "burst", "swap", "lost", "absent", "drops", "scoreless"), 0.0)
    noise = Noise(
        **off, scored_alike=1.0, through_table=0.0, score_jitter=0.0, score_offset=0.0, hidden=2.0
    )
    points = torch.rand(400, 9, 17, 2, generator=generator) * 0.4 + 0.3
    depth = torch.ones(400, 9, 17)
    depth[:, :, 10] = 3.0
    size, fps = torch.ones(400, 2), torch.full((400,), 50.0)
    score = detect(points, depth, size, fps, COCO17.joints, noise, draw).score.numpy()
    table = ScoreTable(**{name: tuple(row) for name, row in noise.score_table.items()})
    wrist, hip = COCO17.index("left_wrist"), COCO17.index("left_hip")
    assert table.error(score[:, :, wrist]) == pytest.approx(noise.joints["wrist"], abs=0.02)
    assert table.error(score[:, :, hip]) == pytest.approx(1.0, abs=0.02)
    hidden = table.error(score[:, :, 10])
    share = (hidden > 1.2 * noise.joints["wrist"]).all(axis=1).mean()
    assert share == pytest.approx(0.5, abs=0.1)
    through = replace(noise, through_table=1.0)
    mapped = detect(points, depth, size, fps, COCO17.joints, through, draw).score.numpy()
    assert mapped[:, :, wrist] == pytest.approx(1 / noise.joints["wrist"], abs=0.02)


def test_no_people_raise() -> None:
    with pytest.raises(InvalidInput, match="nobody was found in its 40 frames"):
        track_people("empty", [[]] * 40, BLAZEPOSE33, 30.0, SIZE)
    with pytest.raises(InvalidInput, match="no tracks"):
        fit_noise([], ("none", "0"))


def test_too_short_video_raises() -> None:
    with pytest.raises(InvalidInput, match="person 1 is not detected in 13 consecutive frames"):
        fit_noise([walk(0, frames=12)], ("short", "0"))


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda track: replace(track, xy=track.xy[:, :16]),
        lambda track: replace(track, score=track.score[1:]),
        lambda track: replace(track, xy=np.where(track.xy > 700, np.nan, track.xy)),
    ],
)
def test_invalid_track_raises(corrupt: Callable[[Track], Track]) -> None:
    with pytest.raises(InvalidInput, match="walk: "):
        corrupt(walk(0))


def test_track_people_returns_coco_joints(rng: np.random.Generator) -> None:
    xy = rng.uniform(100, 500, (33, 2)).astype(np.float32)
    people = [[Person(xy + step, np.full(33, 0.9, np.float32))] for step in range(20)]
    (track,) = track_people("clip", people, BLAZEPOSE33, 30.0, SIZE)
    wrist = BLAZEPOSE33.index("left_wrist")
    np.testing.assert_allclose(track.xy[:, COCO17.index("left_wrist")], xy[wrist] + np.c_[:20])
    assert track.frames.tolist() == list(range(20)) and track.clip == "clip"


def test_fit_correlation_accepts_one_frame_rate() -> None:
    fitted = fit_correlation({25.0: (np.r_[1.0, white_rest(25.0)], 10)})
    assert isinstance(fitted, Correlation) and set(fitted.passed) == {25.0}
