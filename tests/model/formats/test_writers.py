"""Selection of people, complete files, and the formats that hold all people: npz and CSV."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model import (
    FORMATS,
    InvalidInput,
    PersonMotion,
    UnknownName,
    VideoResult,
    read_npz,
    write_motion,
)
from model.keypoints.skeleton import H36M17


def assert_same(result: VideoResult, expected: VideoResult) -> None:
    for name in ("video", "detector", "model", "applied", "warnings"):
        assert getattr(result, name) == getattr(expected, name)
    assert [p.id for p in result.people] == [p.id for p in expected.people]
    assert (result.room is None) == (expected.room is None)
    if result.room and expected.room:
        np.testing.assert_array_equal(result.room.rotation, expected.room.rotation)
        assert result.room.camera_height_m == expected.room.camera_height_m
        assert result.room.assumes == expected.room.assumes
    for person, other in zip(result.people, expected.people, strict=True):
        np.testing.assert_array_equal(person.frames, other.frames)
        np.testing.assert_array_equal(person.times_s, other.times_s)
        np.testing.assert_array_equal(person.bridged, other.bridged)
        np.testing.assert_array_equal(person.keypoints.rows, other.keypoints.rows)
        np.testing.assert_array_equal(person.poses.xyz, other.poses.xyz)
        np.testing.assert_array_equal(person.confidence, other.confidence)
        np.testing.assert_array_equal(person.root, other.root)
        assert person.poses.space == other.poses.space
        assert person.keypoints.image_size == other.keypoints.image_size
        assert person.poses.fps == other.poses.fps


def with_confidence(person: PersonMotion) -> PersonMotion:
    confidence = np.linspace(0, 1, len(person.frames) * 17, dtype=np.float32)
    return replace(person, confidence=confidence.reshape(-1, 17))


def test_npz_roundtrip_is_lossless(gappy_result: VideoResult, tmp_path: Path) -> None:
    first, second = (with_confidence(person) for person in gappy_result.people)
    people = (replace(first, bridged=np.array([3, 4, 50])), second)
    result = replace(gappy_result, people=people, warnings=("two ü", "words"))
    write_motion(result, "npz", tmp_path / "poses.NPZ")
    assert_same(read_npz(tmp_path / "poses.NPZ"), result)


def test_npz_roundtrip_in_world_space(real_result: VideoResult, tmp_path: Path) -> None:
    world = real_result.in_space("world")
    write_motion(world, "npz", tmp_path / "poses.npz")
    assert_same(read_npz(tmp_path / "poses.npz"), world)


def test_npz_roundtrip_without_people(real_result: VideoResult, tmp_path: Path) -> None:
    nobody = replace(real_result, people=(), room=None)
    write_motion(nobody, "npz", tmp_path / "nobody.npz")
    assert_same(read_npz(tmp_path / "nobody.npz"), nobody)


def test_read_npz_rejects_other_files(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, poses=np.zeros((1, 17, 3)))
    with pytest.raises(InvalidInput, match="no result of a video"):
        read_npz(path)
    path.write_bytes(b"PK but broken")
    with pytest.raises(InvalidInput, match="no result of a video"):
        read_npz(path)


def test_csv_has_every_joint_once(gappy_result: VideoResult, tmp_path: Path) -> None:
    first, second = (with_confidence(person) for person in gappy_result.people)
    unseen = first.keypoints.confidence.copy()
    unseen[3, 5] = 0
    keypoints = replace(first.keypoints, confidence=unseen)
    first = replace(first, keypoints=keypoints, bridged=np.array([7, 41]))
    result = replace(gappy_result, people=(first, second))
    write_motion(result, "csv", tmp_path / "poses.csv")
    with (tmp_path / "poses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    people = np.repeat([1, 2], [55 * 17, 17])
    assert [int(row["person"]) for row in rows] == people.tolist()
    assert [row["joint"] for row in rows] == list(H36M17.joints) * 56
    frames = np.repeat(np.concatenate([first.frames, second.frames]), 17)
    assert [int(row["frame"]) for row in rows] == frames.tolist()
    np.testing.assert_allclose([float(row["time_s"]) for row in rows], frames / 30, atol=1e-6)

    poses = np.array([[float(row[axis]) for axis in ("x_m", "y_m", "z_m")] for row in rows])
    expected = np.concatenate([first.poses.xyz, second.poses.xyz]).reshape(-1, 3)
    np.testing.assert_allclose(poses, expected, atol=1e-6)
    keypoints = np.array([[float(row[c] or 0) for c in ("u_px", "v_px", "score")] for row in rows])
    expected = np.concatenate([first.keypoints.rows, second.keypoints.rows]).reshape(-1, 3)
    np.testing.assert_allclose(keypoints, expected, rtol=1e-3, atol=1e-3)
    bridged = {row["frame"] for row in rows if row["bridged"] == "1"}
    assert bridged == {"7", "41"}
    expected = np.concatenate([first.confidence, second.confidence]).ravel()
    np.testing.assert_allclose([float(row["confidence"]) for row in rows], expected, atol=5e-4)
    assert [i for i, row in enumerate(rows) if not row["u_px"]] == [3 * 17 + 5]


def test_csv_without_people_is_its_header(real_result: VideoResult, tmp_path: Path) -> None:
    write_motion(replace(real_result, people=()), "csv", tmp_path / "nobody.csv")
    header = "person,frame,time_s,joint,x_m,y_m,z_m,u_px,v_px,score,bridged,confidence"
    assert (tmp_path / "nobody.csv").read_text().split() == [header]


@pytest.mark.parametrize("format", [name for name, spec in FORMATS.items() if not spec.one_person])
def test_one_person_of_two_can_be_selected(
    format: str, real_result: VideoResult, tmp_path: Path
) -> None:
    only = replace(real_result, people=real_result.people[1:])
    write_motion(only, format, tmp_path / "only")
    write_motion(real_result, format, tmp_path / "selected", person=2)
    assert (tmp_path / "selected").read_bytes() == (tmp_path / "only").read_bytes()


def test_unknown_format_or_person_is_an_error(real_result: VideoResult, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"unknown format 'fbx'; known: .*csv.*npz"):
        write_motion(real_result, "fbx", tmp_path / "poses.fbx")
    with pytest.raises(UnknownName, match="unknown person '3'; known: 1, 2"):
        write_motion(real_result, "csv", tmp_path / "poses.csv", person=3)
    assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_old_file(real_result: VideoResult, tmp_path: Path) -> None:
    broken = replace(real_result.people[1], times_s=real_result.people[1].times_s[:-1])
    result = replace(real_result, people=(real_result.people[0], broken))
    path = tmp_path / "poses.csv"
    path.write_text("an older result")
    with pytest.raises(ValueError):
        write_motion(result, "csv", path)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["an older result"]


@pytest.mark.parametrize("format", [name for name, spec in FORMATS.items() if spec.one_person])
def test_format_for_one_person_needs_an_id(
    format: str, real_result: VideoResult, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=f"{format} holds one person, .* people 1, 2"):
        write_motion(real_result, format, tmp_path / "poses")
    with pytest.raises(InvalidInput, match=f"{format} holds one person, .* nobody"):
        write_motion(replace(real_result, people=()), format, tmp_path / "poses")
    assert list(tmp_path.iterdir()) == []
