"""CMU's originals: two formats of one trial agree, and agree with a second implementation."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from model.errors import InvalidInput
from model.keypoints.skeleton import H36M17
from model.training.commands import run
from model.training.datasets.asf_amc import bone_ends, read_amc, read_asf
from model.training.datasets.bvh import METRES, read_bvh, restore_bones
from model.training.datasets.cmu import find_trials, read_actions, read_trial
from model.training.datasets.originals import Import, import_motion, report
from model.training.recordings import load_recordings
from paths import DATA

CMU = DATA / "cmu"
FRAMES = 12


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(CMU, tmp_path / "originals"))


def _joints(name: str) -> np.ndarray:
    (trial,) = [trial for trial in find_trials(CMU) if trial.path.name == name]
    return read_trial(trial).joints


def test_bone_ends_equal_hand_computed_positions() -> None:
    """The left thigh of 02_01's first frame, by the format's formula with plain matrices."""

    def about(axis: str, degrees: float) -> np.ndarray:
        return Rotation.from_euler(axis, degrees, degrees=True).as_matrix()

    root = about("z", -3.00914) @ about("y", -9.82194) @ about("x", -2.48972)
    axes = about("z", 20)
    own = about("z", -20.1783) @ about("y", -1.02078) @ about("x", -28.0191)
    hip = np.array([10.4194, 16.7048, -30.1003]) + root @ (
        2.52691 * np.array([0.655637, -0.713449, 0.247245])
    )
    thigh = 7.59371 * np.array([0.34202, -0.939693, 0])
    knee = hip + root @ axes @ own @ axes.T @ thigh

    body = read_asf(CMU / "02.asf")
    ends = bone_ends(body, read_amc(CMU / "02_01.amc", body))
    np.testing.assert_allclose(ends["lhipjoint"][0], hip * METRES, atol=1e-12)
    np.testing.assert_allclose(ends["lfemur"][0], knee * METRES, atol=1e-12)


@pytest.mark.parametrize("trial", ["02_01", "16_15"])
def test_amc_and_repaired_bvh_of_a_trial_agree(trial: str) -> None:
    amc, bvh = _joints(f"{trial}.amc"), _joints(f"{trial}.bvh")
    assert amc.shape == bvh.shape == (FRAMES, 17, 3)  # without the added T-pose
    error_mm = np.linalg.norm(amc - bvh, axis=-1) * 1000
    assert error_mm.max() < 2.5
    legs = [i for i, name in enumerate(H36M17.joints) if name.endswith(("hip", "knee", "ankle"))]
    assert error_mm[:, legs].max() < 0.05


def test_formats_differ_only_by_the_repaired_bones() -> None:
    body = read_asf(CMU / "16.asf")
    ends = bone_ends(body, read_amc(CMU / "16_15.amc", body))
    points = read_bvh(CMU / "16_15.bvh").points
    forearm = np.linalg.norm(points["LeftFingerBase"] - points["LeftForeArm"], axis=-1)
    true = np.linalg.norm(ends["lwrist"] - ends["lhumerus"], axis=-1)
    np.testing.assert_allclose(forearm, true, atol=2e-5)
    shift = points["LeftArm"] - ends["lclavicle"]
    assert np.ptp(np.linalg.norm(shift, axis=-1)) < 1e-5


def test_restore_bones_keeps_existing_bones() -> None:
    names = ["Spine", "Spine1", "Neck", "LeftHand", "LeftFingerBase", "Else"]
    offsets = np.array([[0, 2.0, 0], [0.1, 2, 0], [0, 0, 0], [3, 0, 0], [0, 0, 0], [0, 0, 0]])
    restored = restore_bones(names, offsets)
    np.testing.assert_allclose(restored[2], [0.15, 2, 0])
    np.testing.assert_allclose(restored[4], [1.5, 0, 0])
    kept = [0, 1, 3, 5]
    np.testing.assert_array_equal(restored[kept], offsets[kept])
    np.testing.assert_array_equal(restore_bones(names, restored), restored)


def test_world_is_right_handed_with_y_up() -> None:
    joints = _joints("02_01.amc")
    at = {name: joints[0, index] for index, name in enumerate(H36M17.joints)}
    assert at["head"][1] > at["hip"][1] > at["left_ankle"][1] > 0  # Y up, on the floor
    forward = np.cross(at["left_hip"] - at["right_hip"], [0, 1, 0])  # right-handed
    assert forward @ (joints[-1, 0] - joints[0, 0]) > 0  # walking forwards
    np.testing.assert_allclose(at["hip"], (at["left_hip"] + at["right_hip"]) / 2, atol=1e-6)


def test_import_motion_writes_recordings_and_reports_skipped_files(
    originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (originals / "index.txt").write_text("Subject #2\n02_01\twalk\n16_15 walk, veer left\n")
    (originals / "deep").mkdir()
    (originals / "16_15.bvh").rename(originals / "deep" / "17_03 run.bvh")
    output = tmp_path / "recordings.npz"
    assert run("import-motion", [str(originals), "-o", str(output)]) == 0

    output_text = capsys.readouterr().out
    assert "1 sequences" in output_text
    assert "02_01.bvh: 02_01 was read from another file" in output_text
    assert "16_15.amc: no usable piece between glitches" in output_text
    recordings = load_recordings([output])
    assert recordings.names == ("02_01",)
    assert recordings.subjects == ("cmu02",)
    assert recordings.length.tolist() == [5]  # 12 frames at 120 frames/s
    stored = recordings.positions.numpy() * np.load(output)["scale"]
    np.testing.assert_allclose(stored[0], _joints("02_01.amc")[0], atol=0.00013)
    halfway = (_joints("02_01.amc")[2] * 0.6) + (_joints("02_01.amc")[3] * 0.4)
    np.testing.assert_allclose(stored[1], halfway, atol=0.00013)
    assert not list(tmp_path.glob(".*"))


def test_import_motion_stores_actions_and_splits_subjects(originals: Path, tmp_path: Path) -> None:
    (originals / "16_15.amc").unlink()
    shutil.copy(originals / "02_01.bvh", originals / "03_07-stroll.bvh")
    index = tmp_path / "index.txt"
    index.write_text("02_01\twalk\n")
    request = Import([originals], tmp_path / "cmu.npz", actions=index, held_out=["cmu03"])
    outcome = import_motion(request)
    assert [path.name for path in outcome.written] == ["cmu.npz", "cmu_val.npz"]
    train, validation = (np.load(path) for path in outcome.written)
    assert train["subject"].tolist() == ["cmu02"]
    assert train["action"].tolist() == ["walk"]
    assert train["split"].tolist() == ["train"]
    assert validation["action"].tolist() == ["stroll"]
    assert validation["split"].tolist() == ["val"]
    assert validation["source"].tolist() == ["originals/03_07-stroll.bvh"]
    assert "mocap.cs.cmu.edu" in str(validation["licence"][0])
    with pytest.raises(InvalidInput, match="no recordings of cmu99 to hold out"):
        import_motion(Import([originals], tmp_path / "cmu.npz", held_out=["cmu99"]))


def test_frame_rate_depends_on_subject_format_and_option(originals: Path) -> None:
    shutil.copy(originals / "02.asf", originals / "60.asf")
    shutil.copy(originals / "02_01.amc", originals / "60_01.amc")
    rates = {trial.path.name: read_trial(trial).fps for trial in find_trials(originals)}
    assert rates["02_01.amc"] == 120
    assert rates["60_01.amc"] == 60
    assert rates["02_01.bvh"] == pytest.approx(120)
    (trial, *_) = find_trials(originals)
    assert read_trial(trial, fps=30).fps == 30


def _cut(text: str) -> str:
    return text[: len(text) * 2 // 3].rsplit("\n", 2)[0] + "\n"


INVALID: dict[str, tuple[str, Callable[[str], str], str]] = {
    "AMC cut short": ("02_01.amc", _cut, "truncated|numbers per frame"),
    "AMC with a word": (
        "02_01.amc",
        lambda text: text.replace("7.86573", "x"),
        "could not convert",
    ),
    "AMC with NaN": ("02_01.amc", lambda text: text.replace("7.86573", "nan"), "must be finite"),
    "AMC of another body": ("02_01.amc", lambda t: t.replace("lfemur", "lwing"), "lwing"),
    "AMC without frames": ("02_01.amc", lambda _: ":DEGREES\n", "no frames"),
    "ASF without units": ("02.asf", lambda text: text.replace(":units", ":unity"), "units"),
    "ASF without a bone": ("02.asf", lambda t: t.replace("name head", "name hat"), "head"),
    "ASF in another order": ("02.asf", lambda t: t.replace("TX TY TZ", "TZ TY TX"), "root"),
    "BVH cut short": ("02_01.bvh", _cut, "frames"),
    "BVH of another body": ("02_01.bvh", lambda t: t.replace("LeftArm", "Wing"), "LeftArm missing"),
    "BVH that is none": ("02_01.bvh", lambda _: "hello\n", "not a readable BVH"),
    "BVH in another unit": (
        "02_01.bvh",
        lambda t: "\n".join(
            " ".join(["OFFSET", *(str(100 * float(x)) for x in line.split()[1:])])
            if "OFFSET" in line
            else line
            for line in t.splitlines()
        ),
        "joints must be in metres",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_damaged_file_is_skipped_and_reported(originals: Path, tmp_path: Path, case: str) -> None:
    name, corrupt, fault = INVALID[case]
    shutil.copy(CMU / "02_01.bvh", originals / "01_01.bvh")
    (originals / ("02_01.amc" if name.endswith(".bvh") else "02_01.bvh")).unlink()
    path = originals / name
    path.write_text(corrupt(path.read_text()))
    outcome = import_motion(Import([originals], tmp_path / "out.npz"))
    assert outcome.written[tmp_path / "out.npz"].subjects == ("cmu01",)
    (reason,) = [reason for reason in outcome.skipped if "16_15" not in reason]
    assert name in reason
    assert re.search(fault, reason)


def test_missing_body_raises(originals: Path, tmp_path: Path) -> None:
    for path in [*originals.glob("*.asf"), *originals.glob("*.bvh")]:
        path.unlink()
    with pytest.raises(InvalidInput, match=r"02_01.amc: the body of subject cmu02 \(.asf\)"):
        import_motion(Import([originals], tmp_path / "out.npz"))
    assert not list(tmp_path.glob("out*"))


def test_missing_sources_raise(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="must be a folder"):
        import_motion(Import([tmp_path / "nothing"], tmp_path / "out.npz"))
    with pytest.raises(InvalidInput, match="no recording could be read"):
        import_motion(Import([tmp_path], tmp_path / "out.npz"))
    with pytest.raises(InvalidInput, match="index.txt: cannot be read"):
        read_actions(tmp_path / "index.txt")


def test_report_counts_sequences_and_people(originals: Path, tmp_path: Path) -> None:
    outcome = import_motion(Import([originals], tmp_path / "out.npz"))
    assert report(outcome).splitlines()[0].endswith("out.npz: 1 sequences, 0.0 minutes, 1 people")
