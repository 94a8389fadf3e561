"""What docs/onnx.md says: its program gives what Lifter gives, and its tables are the files'."""

import re
from dataclasses import replace

import numpy as np
import onnx
import pytest

from model import KeypointSequence, Lifter, VideoResult
from paths import ROOT

PAGE = (ROOT / "docs" / "onnx.md").read_text()
WEIGHTS = ROOT / "weights" / "poseformer-27.onnx"


def test_the_program_lifts_as_lifter_does(
    real_result: VideoResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where joints, and for some frames all of them, are not seen."""
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(program, names)
    lift = names["lift"]
    assert callable(lift)
    lifter = Lifter.load(WEIGHTS)
    for person in real_result.people:
        keypoints = person.keypoints
        score = keypoints.confidence[:40].copy()
        score[:2], score[10:13], score[20, 5:] = 0, 0, 0
        score[::3, 16] = 0
        sequence = replace(keypoints, xy=keypoints.xy[:40], confidence=score)
        given = np.concatenate([sequence.xy, sequence.confidence[..., None]], axis=-1)
        found = lift(given, *sequence.image_size)
        np.testing.assert_allclose(found, lifter.lift(sequence).xyz, atol=1e-5)
    assert isinstance(sequence, KeypointSequence)


def test_the_program_is_short() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len([line for line in program.splitlines() if line.strip()]) <= 30


def test_every_key_and_tensor_is_on_the_page() -> None:
    model = onnx.load(WEIGHTS)
    section = PAGE[PAGE.index("## The metadata") : PAGE.index("## `person`")]
    keys = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE))))
    assert keys == {entry.key for entry in model.metadata_props}
    for value in (*model.graph.input, *model.graph.output):
        sizes = [axis.dim_value for axis in value.type.tensor_type.shape.dim[1:]]
        free = {27: "f", 6: "C"}
        shape = ", ".join(["B", *(free.get(size, str(size)) for size in sizes)])
        assert f"`{value.name}` | ({shape}) float32" in PAGE
