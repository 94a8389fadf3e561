"""TRC and C3D, read back by NumPy and by the package c3d."""

from dataclasses import replace
from pathlib import Path

import c3d
import numpy as np
import pytest
from numpy.typing import NDArray

from axes import y_up
from model import InvalidInput, PersonMotion, VideoResult, write_motion
from model.keypoints.skeleton import H36M17

Frames = NDArray[np.int64]
Positions = NDArray[np.float64]


def expected_rows(person: PersonMotion) -> tuple[Frames, Positions]:
    """All frames of the video, and (T, 17, 3) mm, NaN where the person is missing."""
    frames = np.arange(75)
    positions = np.full((len(frames), 17, 3), np.nan)
    positions[np.isin(frames, person.frames)] = 1000 * y_up(person.poses)
    return frames, positions


@pytest.fixture(params=["real", "gappy", "world"])
def result(request: pytest.FixtureRequest, real_result: VideoResult) -> VideoResult:
    if request.param == "world":
        return real_result.in_space("world")
    return request.getfixturevalue(f"{request.param}_result")


def test_trc_holds_header_times_and_joints(result: VideoResult, tmp_path: Path) -> None:
    for person in result.people:
        path = tmp_path / "poses.trc"
        write_motion(result, "trc", path, person.id)
        frames, positions = expected_rows(person)
        lines = path.read_text().split("\n")
        header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
        assert header["Units"] == "mm"
        assert float(header["DataRate"]) == float(header["CameraRate"]) == 30
        assert int(header["NumFrames"]) == int(header["OrigNumFrames"]) == len(frames)
        assert int(header["OrigDataStartFrame"]) == frames[0] + 1
        assert lines[3].split("\t")[2::3] == list(H36M17.joints)
        assert int(header["NumMarkers"]) == 17

        table = np.genfromtxt(path, delimiter="\t", skip_header=5).reshape(len(frames), -1)
        np.testing.assert_array_equal(table[:, 0], frames + 1)
        np.testing.assert_allclose(table[:, 1], frames / 30, atol=1e-6)
        np.testing.assert_allclose(table[:, 2:].reshape(-1, 17, 3), positions, atol=1e-3)


@pytest.mark.filterwarnings("ignore:No analog data found")
def test_c3d_holds_header_frames_and_joints(result: VideoResult, tmp_path: Path) -> None:
    for person in result.people:
        path = tmp_path / "poses.c3d"
        write_motion(result, "c3d", path, person.id)
        frames, positions = expected_rows(person)
        with path.open("rb") as file:
            reader = c3d.Reader(file)
            points = np.stack([points for _, points, _ in reader.read_frames()])
        assert reader.point_rate == 30
        assert [label.strip() for label in reader.point_labels] == list(H36M17.joints)
        assert reader.get("POINT:UNITS").string_value.strip() == "mm"
        assert reader.get("POINT:Y_SCREEN").string_value.strip() == "+Y"
        assert (reader.first_frame, reader.last_frame) == (frames[0] + 1, frames[-1] + 1)

        missing = np.isnan(positions).any(axis=-1)
        np.testing.assert_array_equal(points[..., 3], np.where(missing, -1, 0))
        np.testing.assert_allclose(points[~missing][:, :3], positions[~missing], atol=1e-3)


def test_c3d_rejects_frames_beyond_its_16_bit_numbers(
    real_result: VideoResult, tmp_path: Path
) -> None:
    person = real_result.people[0]
    late = replace(
        person, frames=person.frames + 65535, times_s=person.times_s + 65535 / person.poses.fps
    )
    with pytest.raises(InvalidInput, match="at most 65535 frames, .* until frame 65610"):
        write_motion(replace(real_result, people=(late,)), "c3d", tmp_path / "poses.c3d")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["bvh", "c3d", "trc", "glb"])
@pytest.mark.parametrize(
    "times_s",
    [
        np.r_[np.arange(3) / 30, 0.069, np.arange(3, 74) / 30],  # one stamp 2 ms after another
        np.arange(75) * 1e-6,
        np.r_[np.arange(37) / 30, np.arange(38) / 30 + 1000],
        np.arange(75) / 30 + 1 / 60,  # between the points of the grid
    ],
    ids=["close", "tiny", "long pause", "off the grid"],
)
def test_motion_files_of_any_rising_times(
    real_result: VideoResult, tmp_path: Path, times_s: Positions, format: str
) -> None:
    person = real_result.people[0]
    moved = replace(person, times_s=times_s[person.frames])
    duration_s = float(times_s[-1] + 1 / 30)
    video = replace(real_result.video, duration_s=duration_s)
    result = replace(real_result, people=(moved,), video=video)
    write_motion(result, format, tmp_path / f"person.{format}")


@pytest.mark.parametrize("format", ["bvh", "c3d", "trc"])
@pytest.mark.parametrize("last_s", [1e9, np.inf])
def test_a_motion_file_that_would_not_end_is_refused(
    real_result: VideoResult, tmp_path: Path, last_s: float, format: str
) -> None:
    person = real_result.people[0]
    moved = replace(person, times_s=np.r_[person.times_s[:-1], last_s])
    with pytest.raises(InvalidInput, match="finite times|frames; a file may have"):
        write_motion(replace(real_result, people=(moved,)), format, tmp_path / "person")
