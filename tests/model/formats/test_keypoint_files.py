"""Keypoints in files of other tools: values, selection of the person, rejected files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cli_errors import assert_one_line
from model import (
    BODY25,
    COCO17,
    Given,
    InvalidInput,
    TooLarge,
    UnknownName,
    read_coco,
    read_keypoints_npz,
    read_openpose,
)
from service.cli import main

FRAMES = 12
GIVEN = Given(fps=25, image_size=(640, 480))
MANY = 1000

Rows = NDArray[np.float64]


def walking(joints: int, height_px: float, start_px: float, speed_px: float) -> Rows:
    """A random body of that height that moves to the right: (FRAMES, J, 3)."""
    rng = np.random.default_rng(joints)
    body = rng.uniform(0, 1, (joints, 2)) * (height_px / 3, height_px) + (start_px, 100)
    rows = np.zeros((FRAMES, joints, 3))
    rows[..., :2] = body + np.arange(FRAMES)[:, None, None] * (speed_px, 0)
    rows[..., 2] = rng.uniform(0.5, 1, (FRAMES, joints))
    return rows.round(3)


def openpose(folder: Path, people: Sequence[Rows], first: int = 0) -> Path:
    """As OpenPose's --write_json, with people in an order that changes from frame to frame."""
    folder.mkdir(exist_ok=True)
    for t in range(FRAMES):
        entries = [{"pose_keypoints_2d": rows[t].ravel().tolist()} for rows in people]
        document = {"version": 1.3, "people": entries[:: -1 if t % 2 else 1]}
        path = folder / f"walk_{first + t:012d}_keypoints.json"
        path.write_text(json.dumps(document))
    return folder


def coco(people: Sequence[Rows], **extra: Any) -> list[dict[str, Any]]:
    return [
        {"image_id": t + 1, "category_id": 1, "keypoints": rows[t].ravel().tolist(), "score": 0.9}
        | {name: values[i] for name, values in extra.items()}
        for t in range(FRAMES)
        for i, rows in enumerate(people)
    ]


def test_openpose_with_one_person(tmp_path: Path) -> None:
    rows = walking(25, 300, 50, 5)
    rows[4, 7] = 0
    result = read_openpose(openpose(tmp_path / "a", [rows], first=7), GIVEN, MANY)
    np.testing.assert_array_equal(result.sequence.rows, np.float32(rows))
    assert result.sequence.skeleton is BODY25
    assert (result.sequence.fps, result.sequence.image_size) == (25, (640, 480))
    assert result.warnings == ()


def test_largest_person_of_openpose_is_tracked(tmp_path: Path) -> None:
    near, far = walking(25, 300, 20, 6), walking(25, 90, 500, -8)
    folder = openpose(tmp_path / "a", [far, near])
    result = read_openpose(folder, GIVEN, MANY)
    np.testing.assert_array_equal(result.sequence.rows, np.float32(near))
    assert result.warnings == ("of people 1 (12 frames), 2 (12 frames), the largest is lifted: 1",)
    second = read_openpose(folder, Given(25, (640, 480), person=2), MANY)
    np.testing.assert_array_equal(second.sequence.rows, np.float32(far))
    assert second.warnings == ()


def test_missing_and_empty_openpose_files_are_frames_without_a_person(tmp_path: Path) -> None:
    rows = walking(25, 300, 50, 5)
    folder = openpose(tmp_path / "a", [rows])
    (folder / "walk_000000000003_keypoints.json").unlink()
    (folder / "walk_000000000005_keypoints.json").write_text('{"people": []}')
    rows[[3, 5]] = 0
    result = read_openpose(folder, GIVEN, MANY)
    np.testing.assert_array_equal(result.sequence.rows, np.float32(rows))


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000, '{"people": [3]}', '{"faces": []}'])
def test_invalid_openpose_file_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "walk_1.json").write_text(content)
    with pytest.raises(InvalidInput, match=r"walk_1\.json"):
        read_openpose(tmp_path, GIVEN, MANY)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([0.5] * 54, "body25 needs a list of 75 numbers, .* got 54"),
        (None, "got NoneType"),
        ([True] * 75, "only numbers"),
        (["1"] * 75, "only numbers"),
        ([1e7] * 75, "at most 1e6 px"),
        ([10**400] * 75, "at most 1e6 px"),
        ([float("nan")] * 75, "at most 1e6 px"),
    ],
)
def test_invalid_keypoints_are_rejected(numbers: Any, message: str, tmp_path: Path) -> None:
    document = {"people": [{"pose_keypoints_2d": numbers}]}
    (tmp_path / "1.json").write_text(json.dumps(document))
    with pytest.raises(InvalidInput, match=message):
        read_openpose(tmp_path, GIVEN, MANY)


def test_invalid_openpose_folders_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no \.json files"):
        read_openpose(tmp_path, GIVEN, MANY)
    (tmp_path / "walk_1.json").write_text('{"people": []}')
    with pytest.raises(InvalidInput, match="the file contains no people"):
        read_openpose(tmp_path, GIVEN, MANY)
    (tmp_path / "walk_999999999999.json").write_text('{"people": []}')
    with pytest.raises(TooLarge, match="at most 1000 frames, .* span 999999999999"):
        read_openpose(tmp_path, GIVEN, MANY)
    (tmp_path / "walk_01.json").write_text('{"people": []}')
    with pytest.raises(InvalidInput, match="have the same number"):
        read_openpose(tmp_path, GIVEN, MANY)
    (tmp_path / "about.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"about\.json: expected a name with the frame number"):
        read_openpose(tmp_path, GIVEN, MANY)


@pytest.mark.parametrize("file_names", [False, True])
def test_coco_people_are_identified_by_track_id(file_names: bool) -> None:
    first, second = walking(17, 300, 20, 6), walking(17, 200, 30, 6)
    entries = coco([first, second], track_id=(8, 3))
    del entries[2]  # the first track in the second image
    first[1] = 0
    if file_names:
        for entry in entries:
            entry["image_id"] = f"walk/{entry['image_id']:05d}.jpg"
    result = read_coco(entries, GIVEN, MANY)
    np.testing.assert_array_equal(result.sequence.rows, np.float32(first))
    assert result.sequence.skeleton is COCO17
    assert result.warnings == ("of people 3 (12 frames), 8 (11 frames), the largest is lifted: 8",)
    result = read_coco(entries, Given(25, (640, 480), person=3), MANY)
    np.testing.assert_array_equal(result.sequence.rows, np.float32(second))
    with pytest.raises(UnknownName, match="unknown person '1'; known: 3, 8"):
        read_coco(entries, Given(25, (640, 480), person=1), MANY)


def test_coco_without_track_ids_in_another_joint_set() -> None:
    near, far = walking(26, 300, 20, 6), walking(26, 90, 500, -8)
    near[..., 2] += 0.3
    result = read_coco(coco([far, near]), Given(25, (640, 480), "halpe26"), MANY)
    near[..., 2] = np.minimum(near[..., 2], 1)
    np.testing.assert_array_equal(result.sequence.rows, np.float32(near))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "no people"),
        ([3], "entry 0: expected a COCO result"),
        ([{"image_id": "first", "keypoints": []}], "entry 0: expected a COCO result"),
        ([{"image_id": 1, "keypoints": [1, 2]}], "entry 0: coco17 needs a list of 51 .* got 2"),
        ([{"image_id": 1, "keypoints": [1] * 51, "track_id": 4}] * 2, "track 4 occurs twice"),
    ],
)
def test_invalid_coco_results_are_rejected(entries: list[Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_coco(entries, GIVEN, MANY)


def test_npz_metadata_comes_from_the_file_or_from_options(tmp_path: Path) -> None:
    rows = walking(17, 300, 20, 6)
    rows[2, 4] = np.nan
    path = tmp_path / "keypoints.npz"
    np.savez(path, keypoints=rows, skeleton="coco17", image_size=(640, 480), fps=25.0)
    expected = np.float32(np.nan_to_num(rows))
    result = read_keypoints_npz(path, Given(), MANY)
    np.testing.assert_array_equal(result.sequence.rows, expected)
    with pytest.raises(InvalidInput, match=r"fps is 25\.0 in the file, but 30 as option"):
        read_keypoints_npz(path, Given(fps=30), MANY)

    np.savez(path, keypoints=rows[..., :2])
    result = read_keypoints_npz(path, Given(25, (640, 480), "coco17"), MANY)
    np.testing.assert_array_equal(result.sequence.xy, expected[..., :2])
    np.testing.assert_array_equal(result.sequence.confidence, expected[..., 2] > 0)
    for name in ("fps", "image_size", "skeleton"):
        options = {"fps": 25, "image_size": (640, 480), "skeleton": "coco17"} | {name: None}
        with pytest.raises(InvalidInput, match=f"does not contain {name}"):
            read_keypoints_npz(path, Given(**options), MANY)
    with pytest.raises(TooLarge):
        read_keypoints_npz(path, GIVEN, FRAMES - 1)


def test_invalid_npz_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "keypoints.npz"
    for arrays, message in (
        ({"poses": np.zeros(3)}, "an array `keypoints`, got poses"),
        ({"keypoints": np.zeros((3, 17))}, r"expected numbers .* got float64 \(3, 17\)"),
        ({"keypoints": np.zeros((3, 17, 3)), "person": np.ones(3)}, "`keypoints` of one person"),
        ({"keypoints": np.array(["x"])}, "expected numbers"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(InvalidInput, match=message):
            read_keypoints_npz(path, GIVEN, MANY)
    for content in (b"", b"PK\3\4 nothing", b"\x93NUMPY"):
        path.write_bytes(content)
        with pytest.raises(InvalidInput, match="not an npz file with keypoints"):
            read_keypoints_npz(path, GIVEN, MANY)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), 1e9])
def test_invalid_fps_is_rejected(fps: float) -> None:
    with pytest.raises(InvalidInput, match="fps must be above 0"):
        read_coco(coco([walking(17, 300, 20, 6)]), Given(fps, (640, 480)), MANY)


def test_lift_command_gives_equal_poses_for_every_file_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same keypoints as a body of POST /lift, an npz and a list of COCO results."""
    rows = walking(17, 300, 20, 6)
    body = {"keypoints": rows.tolist(), "skeleton": "coco17", "image_size": [640, 480], "fps": 25}
    (tmp_path / "body.json").write_text(json.dumps(body))
    (tmp_path / "results.json").write_text(json.dumps(coco([rows])))
    np.savez(tmp_path / "keypoints.npz", keypoints=rows, skeleton="coco17")
    metadata = ["--fps", "25", "--image-size", "640x480"]
    results = []
    for name, options in (
        ("body.json", []),
        ("results.json", metadata),
        ("keypoints.npz", metadata),
    ):
        output = tmp_path / "poses.json"
        assert main(["lift", str(tmp_path / name), "-o", str(output), *options]) == 0
        results.append(json.loads(output.read_text()))
    assert results[1] == results[0]
    assert results[2] == results[0]
    assert capsys.readouterr().err == ""


def test_lift_command_reports_the_selected_person_and_missing_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = openpose(tmp_path / "a", [walking(25, 300, 20, 6), walking(25, 90, 500, -8)])
    output = tmp_path / "poses.json"
    lift = ["lift", str(folder), "-o", str(output), "--fps", "25"]
    assert main(lift) == 1
    assert_one_line(capsys.readouterr().err, "the file does not contain image_size")
    assert main([*lift, "--image-size", "640x480"]) == 0
    warning = "of people 1 (12 frames), 2 (12 frames), the largest is lifted: 1"
    assert warning in capsys.readouterr().err
    assert warning in json.loads(output.read_text())["warnings"]


def test_lift_command_rejects_options_with_a_request_body(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "body.json").write_text("{}")
    (tmp_path / "results.json").write_text("[{]")
    output = str(tmp_path / "poses.json")
    assert main(["lift", str(tmp_path / "body.json"), "-o", output, "--fps", "25"]) == 1
    assert_one_line(capsys.readouterr().err, "fps: .*body.json is a body of POST /lift")
    assert main(["lift", str(tmp_path / "results.json"), "-o", output]) == 1
    assert_one_line(capsys.readouterr().err, "results.json is not JSON")
    with pytest.raises(SystemExit):
        main(["lift", "x.npz", "-o", output, "--image-size", "640"])
    assert "expected WIDTHxHEIGHT in px" in capsys.readouterr().err
