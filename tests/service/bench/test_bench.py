"""`poselift bench` prints each line of its table, with its verdict. Speed is not tested."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from model import PoseError
from model.training.networks.peers import TorchPeers
from model.training.networks.poseformer import NetworkShape
from servers import ServerStarter
from service.bench import load, tune, wire
from service.bench.report import Line
from service.bench.timing import Timings, Way, interleave_reopened
from service.cli import commands

SMALL = NetworkShape(joint_width=8, spatial_depth=1, temporal_depth=1, heads=1)


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (Line("", 2.5, 2.5), "pass"),
        (Line("", 2.49, 2.5), "short"),
        (Line("", 0.85, 0.85, at_most=True), "pass"),
        (Line("", 0.86, 0.85, at_most=True), "short"),
        (Line("", 3.0), ""),
    ],
)
def test_line_verdict_compares_with_its_target(line: Line, verdict: str) -> None:
    assert line.verdict == verdict


def test_cost_is_the_median_ratio_within_rounds() -> None:
    timings = Timings({"ours": [1.0, 10.0, 2.0], "theirs": [2.0, 20.0, 5.0]})
    assert timings.cost("theirs", of="ours") == 2


def test_interleave_reopened_opens_and_warms_up_each_time() -> None:
    ran: list[str] = []

    def open_ways(number: int) -> dict[str, Way]:
        return {name: partial(ran.append, f"{name}{number}") for name in "ab"}

    timings = interleave_reopened(open_ways, 2, 2)
    assert ran == ["a0", "b0"] * 3 + ["a1", "b1"] * 3
    assert {name: len(seconds) for name, seconds in timings.seconds.items()} == {"a": 4, "b": 4}


@pytest.mark.parametrize(
    ("only", "count"),
    [
        (["shipped", "video", "stream", "peak", "batching"], 12),
        pytest.param(["websocket", "json"], 4, marks=pytest.mark.long),
    ],
    ids=["lifting", "wire"],
)
def test_bench_prints_and_writes_every_line(
    only: list[str],
    count: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(commands, "_peers", lambda: TorchPeers(SMALL))
    for size, small in (("LIVE_FRAMES", 100), ("BODIES", 1)):
        monkeypatch.setattr(wire, size, small)
    figures_file = tmp_path / "figures.json"
    quick = ["--windows", "9", "--frames", "40", "--rounds", "1", "--json", str(figures_file)]
    assert commands.main(["bench", "--only", *only, *quick]) == 0
    rows = [row.split("|")[1:-1] for row in capsys.readouterr().out.splitlines() if row[:1] == "|"]
    figures = json.loads(figures_file.read_bytes())["lines"]
    assert [row[0].strip() for row in rows[2:]] == [line["what"] for line in figures]
    for what, measured, target, verdict, _ in rows[2:]:
        assert np.isfinite(float(measured)), what
        assert (verdict.strip() in ("pass", "short")) == bool(target.strip()), what
    assert len(figures) == count


@pytest.mark.long
def test_load_step_counts_rejected_streams(
    monkeypatch: pytest.MonkeyPatch, start_server: ServerStarter
) -> None:
    monkeypatch.setattr(load, "SECONDS", 1)
    with start_server(live_at_once=1) as client:
        step = load.run(str(client.base_url), 3)
    assert step.rejected == 2
    assert step.sent == step.answered == load.FPS


def test_tune_prefers_the_smallest_call_near_the_minimum_cost() -> None:
    assert tune.best({27: 2.0, 108: 1.01, 216: 1.0, 432: 1.1}) == 108


def test_bench_without_torch_skips_lines_and_names_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent() -> None:
        raise PoseError("`poselift bench` needs the package torch: install it")

    monkeypatch.setattr(commands, "_peers", absent)
    assert commands.main(["bench", "--frames", "30", "--rounds", "1"]) == 0
    output = capsys.readouterr()
    assert re.fullmatch("poselift: .*package torch.*measured without: shipped\n", output.err)
    assert re.search(r"^\| poseformer-27, dense", output.out, re.MULTILINE)
    assert commands.main(["bench", "--only", "peak"]) == 1
    assert re.fullmatch("poselift: .*package torch.*\n", capsys.readouterr().err)
