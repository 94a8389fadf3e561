"""docs/onnx.md: its program lifts as Lifter does, and its tables are those of the files."""

import re
from dataclasses import replace

import numpy as np
import onnx
import pytest

from doc_pages import blocks
from model import Lifter, VideoResult
from paths import ROOT

PAGE = (ROOT / "docs" / "onnx.md").read_text()
WEIGHTS = ROOT / "weights" / "poseformer-27.onnx"
[(_, PROGRAM)] = blocks("docs/onnx.md", "python")


def test_program_lifts_as_lifter_does_also_without_some_joints(
    real_result: VideoResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    exec(PROGRAM, names)
    lift = names["lift"]
    assert callable(lift)
    lifter = Lifter.load(WEIGHTS)
    for person in real_result.people:
        keypoints = person.keypoints
        score = keypoints.confidence[:40].copy()
        score[:2], score[10:13], score[20, 5:] = 0, 0, 0
        score[::3, 16] = 0
        sequence = replace(keypoints, xy=keypoints.xy[:40], confidence=score)
        rows = np.concatenate([sequence.xy, sequence.confidence[..., None]], axis=-1)
        poses = lift(rows, *sequence.image_size)
        np.testing.assert_allclose(poses, lifter.lift(sequence).xyz, atol=1e-5)


def test_program_has_at_most_30_lines() -> None:
    assert len([line for line in PROGRAM.splitlines() if line.strip()]) <= 30


def test_page_names_every_metadata_key_and_tensor() -> None:
    model = onnx.load(WEIGHTS)
    section = PAGE[PAGE.index("## The metadata") : PAGE.index("## `person`")]
    keys = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE))))
    assert keys == {entry.key for entry in model.metadata_props}
    for value in (*model.graph.input, *model.graph.output):
        sizes = [axis.dim_value for axis in value.type.tensor_type.shape.dim[1:]]
        free = {27: "f", 6: "C"}
        shape = ", ".join(["B", *(free.get(size, str(size)) for size in sizes)])
        assert f"`{value.name}` | ({shape}) float32" in PAGE
