"""The figure: curves equal the result's numbers, break at gaps, and have the right colours."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from model import (
    ANGLES,
    H36M17,
    KeypointSequence,
    PersonMotion,
    PoseSequence,
    UnknownName,
    VideoResult,
    joint_angles,
    plot_motion,
)
from model.rendering.plot import motion_figure
from model.rendering.strokes import Colour, colours_of
from service.cli import main
from service.wire.files import read_result, write_video


@pytest.fixture
def gappy(real_result: VideoResult) -> VideoResult:
    """Person 1 is missing in frames 5 to 9 and after 15, except in frame 20."""
    kept = np.r_[0:5, 10:16, 20]
    person = real_result.people[0]
    poses = PoseSequence(person.poses.xyz[kept], person.poses.fps)
    keypoints: KeypointSequence = person.keypoints.pick(kept)
    alone = PersonMotion(1, kept, kept / 30, keypoints, poses, person.root[kept])
    return replace(real_result, people=(alone, *real_result.people[1:]))


def curves(axes: Axes, colour: Colour) -> tuple[np.ndarray, np.ndarray]:
    """(times, values) of the line of this colour, and of its dots."""
    coloured = [
        line for line in axes.lines if to_rgb(line.get_color()) == tuple(c / 255 for c in colour)
    ]
    line, dots = (np.array(line.get_data(), float) for line in coloured)
    return line, dots


def test_curves_equal_the_joints_and_break_where_the_person_is_missing(gappy: VideoResult) -> None:
    figure = motion_figure(gappy, joints=["wrist"], people=[1])
    person, colours = gappy.people[0], colours_of(1)
    assert [axes.get_title("left") for axes in figure.axes] == [
        "wrist x (right), m",
        "wrist y (down), m",
        "wrist z (away), m",
    ]
    for axis, axes in enumerate(figure.axes):
        for side, colour in (("left", colours.left), ("right", colours.right)):
            (times_s, values), dots = curves(axes, colour)
            expected = person.poses.xyz[:, H36M17.index(f"{side}_wrist"), axis]
            assert np.flatnonzero(np.isnan(values)).tolist() == [5, 12]
            np.testing.assert_allclose(values[~np.isnan(values)], expected)
            np.testing.assert_allclose(times_s[~np.isnan(times_s)], person.times_s)
            np.testing.assert_allclose(dots, [[20 / 30], [expected[-1]]])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["1 left", "1 right"]
    assert figure.axes[1].yaxis_inverted()


def test_y_axis_points_up_in_every_space(real_result: VideoResult) -> None:
    for space, title, inverted in (("camera", "y (down)", True), ("world", "y (up)", False)):
        axes = motion_figure(real_result.in_space(space), joints=["head"], people=[2]).axes[1]
        assert axes.get_title("left") == f"head {title}, m"
        assert axes.yaxis_inverted() == inverted


def test_line_breaks_where_an_angle_wraps_around(real_result: VideoResult) -> None:
    person = real_result.people[0]
    raised = np.repeat(person.poses.xyz[:1], 3, axis=0)
    shoulder, elbow = H36M17.index("left_shoulder"), H36M17.index("left_elbow")
    trunk = raised[0, H36M17.index("thorax")] - raised[0, H36M17.index("hip")]
    # overhead, a little to the front, then a little to the back
    forward = np.cross([1.0, 0, 0], trunk)
    for row, ahead in enumerate((0.2, 0.02, -0.2)):
        raised[row, elbow] = raised[row, shoulder] + trunk + ahead * forward
    poses = PoseSequence(raised, person.poses.fps)
    rows = np.arange(3)
    moved = PersonMotion(1, rows, rows / 30, person.keypoints.pick(rows), poses, raised[:, 0])
    (axes,) = motion_figure(
        replace(real_result, people=(moved,)), angles=["left_shoulder_flexion"]
    ).axes
    expected = joint_angles(poses)[:, ANGLES.index("left_shoulder_flexion")]
    assert np.abs(np.diff(expected)).max() > 180
    (_, values), _ = curves(axes, colours_of(1).left)
    assert np.isnan(values).sum() == 1
    np.testing.assert_allclose(values[~np.isnan(values)], expected)
    assert axes.get_title("left") == "shoulder flexion, °"


@pytest.mark.parametrize(
    ("suffix", "begins"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_plot_command_writes_each_file_type(
    suffix: str, begins: bytes, gappy: VideoResult, tmp_path: Path
) -> None:
    write_video(gappy, tmp_path / "walk.npz")
    out = tmp_path / f"figure{suffix}"
    options = ["--angles", "trunk_lean", "--person", "1"]
    assert main(["plot", str(tmp_path / "walk.npz"), "-o", str(out), *options]) == 0
    assert out.read_bytes().startswith(begins)
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, "walk.npz"]


def test_json_and_npz_hold_the_same_result(real_result: VideoResult, tmp_path: Path) -> None:
    for name in ("walk.json", "walk.npz"):
        write_video(real_result, tmp_path / name)
    json, npz = (read_result(tmp_path / name) for name in ("walk.json", "walk.npz"))
    assert replace(json, people=(), room=None) == replace(npz, people=(), room=None)
    for person, other in zip(json.people, npz.people, strict=True):
        assert person.id == other.id
        np.testing.assert_array_equal(person.frames, other.frames)
        np.testing.assert_array_equal(person.times_s, other.times_s)
        np.testing.assert_array_equal(person.keypoints.rows, other.keypoints.rows)
        np.testing.assert_array_equal(person.poses.xyz, other.poses.xyz)


def test_plot_command_reports_each_error_in_one_line(
    real_result: VideoResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(real_result, tmp_path / "walk.npz")
    write_video(replace(real_result, people=()), tmp_path / "nobody.npz")
    (tmp_path / "lift.json").write_text('{"poses": []}')
    (tmp_path / "torn.npz").write_bytes((tmp_path / "walk.npz").read_bytes()[:5000])
    for arguments, message in (
        ("walk.npz -o a.gif", "the file name must end in .png, .svg, .pdf"),
        ("walk.npz -o none/a.png", "there is no folder"),
        ("walk.npz --joints tail", "unknown joint 'tail'; known: head, "),
        ("walk.npz --angles knee", "unknown angle 'knee'; known: left_elbow"),
        ("walk.npz --person 9", "unknown person '9'; known: 1"),
        ("nobody.npz", "nobody is in the video: there is nothing to plot"),
        ("lift.json", "lift.json is no result of a video"),
        ("torn.npz", "torn.npz is no result of a video as npz"),
        ("walk.mp4", "a result to read is a .json or .npz file"),
        ("gone.npz", "gone.npz: No such file"),
    ):
        result, *options = arguments.split()
        options = [str(tmp_path / o) if o.endswith(("gif", "png")) else o for o in options]
        assert main(["plot", str(tmp_path / result), *options]) == 1, arguments
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert not list(tmp_path.glob("*.png"))
    with pytest.raises(UnknownName):
        plot_motion(real_result, tmp_path / "a.png", joints=["left"])
