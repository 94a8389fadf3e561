"""Motions: validation, cutting, resampling, and npz files of recordings."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.errors import InvalidInput
from model.training.datasets.motion import Motion, write_recordings
from model.training.recordings import load_recordings

Fields = dict[str, Any]


@pytest.fixture
def body(recordings_file: Path) -> np.ndarray:
    """One recorded pose, (17, 3) m."""
    file = np.load(recordings_file)
    return file["pos"][0] * float(file["scale"])


@pytest.fixture
def walk(body: np.ndarray) -> Motion:
    """Two seconds along z at 1 m/s, 100 frames/s."""
    steps = np.arange(200)[:, None, None] / 100 * np.array([0, 0, 1.0])
    return Motion("walk_01", "anna", body + steps, fps=100.0, action="walk")


def test_written_recordings_are_loaded_unchanged(tmp_path: Path, walk: Motion) -> None:
    path = tmp_path / "mine.npz"
    written = write_recordings(path, [walk, replace(walk, name="walk_02", subject="ben")])
    assert (written.sequences, written.subjects) == (2, ("anna", "ben"))
    recordings = load_recordings([path])
    assert recordings.names == ("walk_01", "walk_02")
    assert recordings.subjects == ("anna", "ben")
    assert recordings.fps.tolist() == [50, 50]
    assert recordings.own_skeleton == (True, True)
    stored = recordings.positions.numpy()[:100] * np.load(path)["scale"]
    np.testing.assert_allclose(stored, walk.joints[::2], atol=0.00013)


@pytest.mark.parametrize("fps", [24.0, 60.0, 119.88, 240.0])
def test_resampling_keeps_duration_and_speed(walk: Motion, fps: float) -> None:
    motion = replace(walk, fps=fps)
    resampled = motion.at(50.0)
    seconds = (len(motion.joints) - 1) / fps
    assert (len(resampled) - 1) / 50 == pytest.approx(seconds, abs=0.02)
    moved = resampled[1:, 0, 2] - resampled[:-1, 0, 2]
    np.testing.assert_allclose(moved, fps / 100 / 50, atol=1e-5)


def test_large_coordinates_get_a_coarser_scale(tmp_path: Path, walk: Motion) -> None:
    path = tmp_path / "far.npz"
    write_recordings(path, [replace(walk, joints=walk.joints + np.float32([0, 0, 30.0]))])
    file = np.load(path)
    assert file["scale"] == 0.001
    np.testing.assert_allclose(file["pos"][0, 0, 2] * 0.001, walk.joints[0, 0, 2] + 30, atol=0.001)


def test_glitches_are_cut_out(walk: Motion) -> None:
    joints = walk.joints.copy()
    joints[120, 13] += 5.0
    (piece,) = replace(walk, joints=joints).pieces()
    assert piece.name == "walk_01s0"
    np.testing.assert_array_equal(piece.joints, joints[:117])
    joints[:, 13] += 5.0 * (np.arange(200) > 150)[:, None]  # a hand that jumps and stays there
    pieces = list(replace(walk, joints=np.concatenate([joints, joints])).pieces())
    assert [piece.name for piece in pieces] == ["walk_01s0", "walk_01s1"]
    for piece in pieces:
        assert len(list(piece.pieces())) == 1
    assert list(walk.pieces()) == [walk]


def test_file_is_written_atomically(tmp_path: Path, walk: Motion) -> None:
    path = tmp_path / "mine.npz"
    write_recordings(path, [walk])
    before = path.read_bytes()
    with pytest.raises(InvalidInput, match="no recording to write"):
        write_recordings(path, [])
    assert path.read_bytes() == before
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(InvalidInput, match="taken/mine.npz: cannot be written"):
        write_recordings(tmp_path / "taken" / "mine.npz", [walk])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.npz", "taken"]


def _with_nan(fields: Fields) -> Fields:
    joints = fields["joints"].copy()
    joints[3, 13, 1] = np.nan
    return {"joints": joints}


BAD: dict[str, tuple[Callable[[Fields], Fields], str]] = {
    "NaN": (_with_nan, "'walk_01' of a.npz: joints must be finite, but left_wrist of frame 3"),
    "no subject": (lambda _: {"subject": ""}, "a name and a subject are needed"),
    "wrong joints": (lambda f: {"joints": f["joints"][:, :16]}, r"17, 3\), got \(200, 16, 3\)"),
    "one frame": (lambda f: {"joints": f["joints"][:1]}, "2 or more frames"),
    "no time": (lambda _: {"fps": 0.0}, "fps must be above 0"),
    "millimetres": (lambda f: {"joints": f["joints"] * 1000}, "joints must be in metres"),
}


@pytest.mark.parametrize("case", BAD)
def test_invalid_motion_raises(walk: Motion, case: str) -> None:
    corrupt, fault = BAD[case]
    with pytest.raises(InvalidInput, match=fault):
        replace(walk, source="a.npz", **corrupt(vars(walk)))


INVALID_FILE: dict[str, tuple[Callable[[Fields], Fields], str]] = {
    "wrong joints": (lambda f: {"pos": f["pos"][:, :16]}, r"pos must be \(frames, 17, 3\)"),
    "NaN": (lambda f: {"pos": f["pos"] * np.float32("nan")}, "got float32 with NaN"),
    "metres": (lambda f: {"pos": f["pos"] * f["scale"]}, "got float64; .*write_recordings"),
    "no subjects": (lambda _: {"subject": None}, "fields are missing: subject"),
    "an empty subject": (
        lambda _: {"subject": np.array([""])},
        "the subject of walk_01 is missing",
    ),
    "too few subjects": (
        lambda _: {"subject": np.array([], str)},
        "subject must have one value for each of 1",
    ),
    "NaN in scale": (lambda _: {"scale": np.array(np.nan)}, "above 0, got nan for scale"),
    "two scales": (lambda _: {"scale": np.ones(2)}, "scale must be one number"),
    "NaN in fps": (lambda _: {"fps": np.array([np.nan])}, "above 0, got nan for walk_01"),
    "offsets": (lambda f: {"offsets": f["offsets"][:1]}, "offsets do not divide 100 frames"),
    "no frames": (
        lambda f: {
            "offsets": np.array([0, 0, 100]),
            "fps": np.array([50.0, 50]),
            **{n: np.repeat(f[n], 2) for n in ("name", "subject", "action", "skeleton")},
        },
        "a sequence has no frames",
    ),
    "a wrong scale": (lambda f: {"scale": f["scale"] * 1000}, "a body must measure 0.5 to 3 m"),
}


@pytest.mark.parametrize("case", INVALID_FILE)
def test_invalid_file_raises(tmp_path: Path, walk: Motion, case: str) -> None:
    corrupt, fault = INVALID_FILE[case]
    path = tmp_path / "mine.npz"
    write_recordings(path, [walk])
    fields = dict(np.load(path))
    fields |= corrupt(fields)
    np.savez(path, **{name: value for name, value in fields.items() if value is not None})
    with pytest.raises(InvalidInput, match=rf"mine\.npz: .*{fault}"):
        load_recordings([path])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_file_raises(tmp_path: Path, walk: Motion, share: float) -> None:
    path = tmp_path / "mine.npz"
    write_recordings(path, [walk])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InvalidInput, match=r"mine\.npz: not a readable npz file"):
        load_recordings([path])


def test_damaged_or_missing_file_raises(tmp_path: Path, walk: Motion) -> None:
    path = tmp_path / "mine.npz"
    write_recordings(path, [walk])
    whole = bytearray(path.read_bytes())
    whole[200:210] = b"\0" * 10  # inside the first field
    path.write_bytes(whole)
    with pytest.raises(InvalidInput, match=r"mine\.npz: not a readable npz file"):
        load_recordings([path])
    with pytest.raises(InvalidInput, match=r"gone\.npz: not a readable npz file"):
        load_recordings([tmp_path / "gone.npz"])
