"""`poselift bench` prints each line of its table, with its verdict. How fast is not tested."""

import json
import re
from pathlib import Path

import pytest

from model import PoseError
from model.training.network import NetworkShape
from model.training.peers import TorchPeers
from service import cli
from service.bench.report import Line
from service.bench.timing import Timings

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
def test_a_line_passes_or_is_short(line: Line, verdict: str) -> None:
    assert line.verdict == verdict


def test_a_ratio_is_of_runs_of_the_same_round() -> None:
    timings = Timings({"ours": [1.0, 10.0, 2.0], "theirs": [2.0, 20.0, 5.0]})
    assert timings.cost("theirs", of="ours") == 2


def test_every_line_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "_peers", lambda: TorchPeers(SMALL))
    written = tmp_path / "figures.json"
    quick = ["--windows", "9", "--frames", "40", "--rounds", "1", "--json", str(written)]
    assert cli.main(["bench", *quick]) == 0
    rows = [row.split("|")[1:-1] for row in capsys.readouterr().out.splitlines() if row[:1] == "|"]
    figures = json.loads(written.read_bytes())["lines"]
    assert [row[0].strip() for row in rows[2:]] == [line["what"] for line in figures]
    for what, measured, target, verdict, _ in rows[2:]:
        assert float(measured) > 0, what
        assert (verdict.strip() in ("pass", "short")) == bool(target.strip()), what
    assert len(figures) == 11


def test_without_torch_the_lines_that_need_it_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent() -> None:
        raise PoseError("`poselift bench` needs the package torch: install it")

    monkeypatch.setattr(cli, "_peers", absent)
    assert cli.main(["bench", "--frames", "30", "--rounds", "1"]) == 0
    said = capsys.readouterr()
    assert re.fullmatch("poselift: .*package torch.*measured without: shipped\n", said.err)
    assert re.search(r"^\| poseformer-27, dense", said.out, re.MULTILINE)
    assert cli.main(["bench", "--only", "peak"]) == 1
    assert re.fullmatch("poselift: .*package torch.*\n", capsys.readouterr().err)
