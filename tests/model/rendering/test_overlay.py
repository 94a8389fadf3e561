"""The picture of a result: sizes, times, colours, who stands where, and nothing half written."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from model.keypoints.sequences import KeypointSequence, PoseSequence
from model.keypoints.skeleton import H36M17
from model.motion.world import ANKLE_M
from model.rendering.orbit import TURN_S, Turntable
from model.rendering.overlay import Layout, render_overlay
from model.rendering.stage import bodies_on_floor, side_by_side, upright_turn
from model.rendering.strokes import PALETTE, Colours, colours_of, draw_skeleton, write
from model.rendering.view3d import Scene
from model.video.reader import VideoInfo, open_video
from model.video.results import PersonMotion, VideoResult
from paths import CLIPS

ONE = CLIPS / "one_person.mp4"

STANDING = np.zeros((17, 3), np.float32)
"""Somebody who faces the camera, arms out: their left is on the picture's right. x right, y down,
z away, m."""
for side, sign in (("left", 1), ("right", -1)):
    for joint, x, y in (
        *(("hip", 0.1, 0), ("knee", 0.12, 0.42), ("ankle", 0.14, 0.84)),
        *(("shoulder", 0.2, -0.45), ("elbow", 0.45, -0.45), ("wrist", 0.7, -0.45)),
    ):
        STANDING[H36M17.index(f"{side}_{joint}")] = [sign * x, y, 0]
for joint, y in (("spine", -0.22), ("thorax", -0.44), ("neck_nose", -0.6), ("head", -0.72)):
    STANDING[H36M17.index(joint)] = [0, y, 0]


def motion(id: int = 1, frames: range = range(48), x_px: float = 180) -> PersonMotion:
    """Somebody who stands still at x_px in a picture of 360 x 640."""
    xy = np.repeat((STANDING[None, :, :2] * 200 + [x_px, 300]).astype(np.float32), len(frames), 0)
    keypoints = KeypointSequence(xy, np.ones((len(frames), 17)), (360, 640), 60, H36M17)
    poses = PoseSequence(np.repeat(STANDING[None], len(frames), 0), 60)
    numbers = np.array(frames, np.int64)
    return PersonMotion(id, numbers, numbers / 60, keypoints, poses, poses.xyz[:, 0])


def result(*people: PersonMotion, info: VideoInfo | None = None) -> VideoResult:
    info = info or VideoInfo(360, 640, 60, 48, 0.8)
    return VideoResult(info, ("mediapipe", "1"), ("poseformer-27", "1"), people, (), {}, None)


def near(
    picture: NDArray[np.uint8], colour: tuple[int, int, int], within: int = 30
) -> NDArray[np.intp]:
    """(rows, columns) of the pixels of about this colour."""
    return np.argwhere((np.abs(picture.astype(int) - colour) <= within).all(axis=-1))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("render") / "out.mp4"
    render_overlay(ONE, result(motion(1), motion(2, range(24, 48), 300)), out)
    return out


def test_the_film_on_the_left_and_a_square_stage_on_the_right(rendered: Path) -> None:
    with open_video(rendered) as video:
        frames = list(video.frames())
        assert video.warnings == []
    assert {frame.image.shape for frame in frames} == {(640, 360 + 640, 3)}
    with open_video(ONE) as original:
        for shown, filmed in zip(frames, original.frames(), strict=True):
            assert shown.time_s == pytest.approx(filmed.time_s, abs=1e-4)
            below = np.abs(shown.image[600:, :360].astype(int) - filmed.image[600:])
            assert below.mean() < 12, "the film itself is unchanged"


def test_browsers_can_play_it_while_it_loads(rendered: Path) -> None:
    content = rendered.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(str(rendered)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    assert [path.name for path in rendered.parent.iterdir()] == ["out.mp4"]


def test_colours_tell_people_and_left_from_right_in_both_halves(rendered: Path) -> None:
    with open_video(rendered) as video:
        *_, last = video.frames()
    # below is a blue mat, and the legend
    film, stage = last.image[:450, :360], last.image[:580, 360:]
    for half in (film, stage):
        columns = {}
        for id in (1, 2):
            colours = colours_of(id)
            left, right = near(half, colours.left), near(half, colours.right)
            assert len(left) > 50 and len(right) > 50
            columns[id] = right[:, 1].mean(), left[:, 1].mean()
            assert columns[id][0] < columns[id][1], "they face us: their left is on our right"
        assert columns[1][0] < columns[2][0] and columns[1][1] < columns[2][1]


def test_who_is_away_is_not_drawn(rendered: Path) -> None:
    with open_video(rendered) as video:
        first = next(video.frames())
    stage = first.image[:580, 360:]
    assert len(near(stage, colours_of(2).right)) < 20
    assert len(near(stage, colours_of(1).right)) > 100


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [0, 0.04, 0.1, 0.5, 0.52, 1.3]
    with av.open(str(tmp_path / "film.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 98, 62, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.zeros((62, 98, 3), np.uint8))
            frame.time_base, frame.pts = Fraction(1, 1000), round(time * 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    told: list[tuple[str, int, int | None]] = []
    nobody = result(info=VideoInfo(98, 62, 4, 6, 1.5))
    render_overlay(tmp_path / "film.mkv", nobody, tmp_path / "o.mp4", lambda *now: told.append(now))
    with open_video(tmp_path / "o.mp4") as video:
        np.testing.assert_allclose([f.time_s for f in video.frames()], times, atol=1e-4)
    assert told == [("drawing", n, 6) for n in range(1, 7)]


@pytest.mark.parametrize("frame", [1, 20])
def test_nothing_half_written_stays(tmp_path: Path, frame: int) -> None:
    def stop(stage: str, done: int, total: int | None) -> None:
        if done == frame:
            raise InterruptedError

    out = tmp_path / "out.mp4"
    out.write_bytes(b"what was there before")
    with pytest.raises(InterruptedError):
        render_overlay(ONE, result(motion()), out, stop)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert out.read_bytes() == b"what was there before"


@pytest.mark.parametrize(
    ("size", "film", "stage", "whole"),
    [
        ((1920, 1080), (1280, 720), (720, 720), (2000, 720)),
        ((1080, 1920), (404, 720), (720, 720), (1124, 720)),
        ((641, 481), (640, 480), (480, 480), (1120, 480)),
        ((160, 120), (480, 360), (360, 360), (840, 360)),
        ((4000, 500), (1280, 160), (1280, 540), (1280, 700)),
        ((20, 4000), (4, 720), (720, 720), (724, 720)),
        ((1, 1), (360, 360), (360, 360), (720, 360)),
    ],
)
def test_sizes(
    size: tuple[int, int], film: tuple[int, int], stage: tuple[int, int], whole: tuple[int, int]
) -> None:
    layout = Layout.of(*size)
    assert (layout.film, layout.stage, layout.size) == (film, stage, whole)
    parts = [np.zeros((height, width, 3)) for width, height in (film, stage)]
    assert np.concatenate(parts, axis=layout.axis).shape == (whole[1], whole[0], 3)


def test_no_two_people_and_no_two_sides_share_a_colour() -> None:
    colours = [c for p in PALETTE for c in (p.left, p.middle, p.right)]
    assert len(set(colours)) == len(colours)
    assert colours_of(1) == colours_of(1 + len(PALETTE)) != colours_of(2)
    skin = Colours((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert [skin.of(j) for j in ("left_hip", "head", "right_knee")] == [
        skin.left,
        skin.middle,
        skin.right,
    ]


def test_bones_lie_where_the_joints_are_and_hidden_ones_are_left_out() -> None:
    picture = np.zeros((400, 400, 3), np.uint8)
    points = STANDING[:, :2] * 200 + 200
    shown = np.ones(17, bool)
    shown[H36M17.index("left_wrist")] = False
    colours = colours_of(1)
    draw_skeleton(picture, points, colours, 6, shown=shown)

    def between(a: str, b: str) -> tuple[int, ...]:
        x, y = (points[H36M17.index(a)] + points[H36M17.index(b)]) / 2
        return tuple(picture[round(float(y)), round(float(x))].tolist())

    assert between("left_knee", "left_ankle") == colours.left
    assert between("right_elbow", "right_wrist") == colours.right
    assert between("spine", "thorax") == colours.middle
    assert between("left_elbow", "left_wrist") == (0, 0, 0)


@pytest.mark.parametrize("at", [(-1e9, 5), (1e9, 1e9), (399.7, -0.2)])
def test_points_far_outside_the_picture_are_no_obstacle(at: tuple[float, float]) -> None:
    points = STANDING[:, :2] * 200 + 200
    points[3] = at
    picture = np.zeros((400, 400, 3), np.uint8)
    draw_skeleton(picture, points, colours_of(1), 6)
    write(picture, "beyond the border", (at[0], at[1]), 20)


@pytest.mark.parametrize("tilt", [(0, 0), (20, 0), (0, -30), (15, 25)])
def test_a_tilted_camera_still_shows_people_upright(tilt: tuple[float, float]) -> None:
    roll, pitch = np.radians(tilt)
    about_z = np.array(
        [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    )
    about_x = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    filmed = (STANDING @ (about_z @ about_x).T).astype(np.float32)
    turn = upright_turn([filmed[None]])
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    body = filmed @ turn.T
    up = body[H36M17.index("head")] - body[[3, 6]].mean(axis=0)
    np.testing.assert_allclose(up / np.linalg.norm(up), [0, 1, 0], atol=1e-6)


def test_who_lies_down_is_not_stood_up() -> None:
    lying = STANDING[:, [1, 0, 2]]
    np.testing.assert_array_equal(upright_turn([lying[None]]), np.diag([1.0, -1.0, -1.0]))


def test_people_who_meet_stand_apart_as_in_the_picture_and_others_share_places() -> None:
    right, left = motion(1, range(48), 300), motion(2, range(10, 48), 60)
    places = side_by_side([right, left], 360)
    assert places[2] < 0 < places[1]
    before, after = motion(1, range(20), 300), motion(2, range(25, 48), 60)
    assert side_by_side([before, after], 360) == {1: 0.0, 2: 0.0}
    assert side_by_side([], 360) == {}


def test_everybody_stands_on_the_floor() -> None:
    found = result(motion(1), motion(2, range(24, 48), 300))
    bodies = bodies_on_floor(found)
    for person in found.people:
        assert bodies[person.id].shape == (len(person.frames), 17, 3)
        np.testing.assert_allclose(bodies[person.id][..., 1].min(axis=1), ANKLE_M)


def test_the_camera_starts_where_the_film_was_taken_and_goes_all_around() -> None:
    found = result(motion())
    bodies = bodies_on_floor(found)
    turntable = Turntable(found.people, bodies, 48, 60)
    hand, foot = H36M17.index("left_wrist"), H36M17.index("left_ankle")

    def seen(time_s: float) -> NDArray[np.float64]:
        return turntable.view(0, time_s, (400, 400)).project(bodies[1][0])

    np.testing.assert_allclose(seen(0)[:, 0] - 200, -(seen(TURN_S / 2)[:, 0] - 200), rtol=0.15)
    np.testing.assert_allclose(seen(0), seen(TURN_S), atol=1e-6)
    assert seen(0)[hand, 0] > 230, "they face us: their left is on our right"
    assert abs(seen(TURN_S / 4)[hand, 0] - 200) < 5, "from the side"
    assert seen(0)[foot, 1] > seen(0)[hand, 1]
    for time_s in np.linspace(0, TURN_S, 9):
        assert ((seen(time_s) > 20) & (seen(time_s) < 380)).all(), "all of them in the picture"


def test_the_camera_goes_along_and_stays_when_everybody_is_away() -> None:
    walker = motion(frames=range(20, 40))
    walked = np.repeat(STANDING[None], 20, 0).astype(np.float64)
    walked[..., 0] += np.linspace(0, 10, 20)[:, None]
    turntable = Turntable([walker], {1: walked}, 60, 60)
    middles = [turntable.view(frame, 0, (100, 100)).middle[0] for frame in range(60)]
    assert (np.diff(middles) >= 0).all() and middles[0] < 3 and middles[-1] > 7
    nobody = Turntable([], {}, 0, 30)
    assert nobody.view(5, 0, (100, 100)).middle.tolist() == [0, 0.9, 0]


def test_who_is_nearer_is_thicker_and_brighter() -> None:
    points = STANDING[:, :2] * 200 + 200
    depth = 5 - STANDING[:, 0].astype(np.float64)
    picture = np.zeros((400, 400, 3), np.uint8)
    draw_skeleton(picture, points, Colours(*[(200, 200, 200)] * 3), 12, depth=depth)
    shoulder = round(float(points[H36M17.index("left_shoulder"), 1]))
    lit = picture[:, :, 0].max(axis=0)
    left, right = (
        round(200 + sign * (0.45 + 0.7) / 2 * 200) for sign in (1, -1)
    )  # in the middle of either forearm
    assert lit[left] > lit[right] > 0
    bright = picture[shoulder - 20 : shoulder + 20, :, 0] > 60
    assert bright[:, left].sum() > bright[:, right].sum()


def test_many_people_in_a_small_picture_are_drawn_too() -> None:
    crowd = [motion(n, range(5), 20 * n) for n in range(1, 17)]
    picture = Scene(result(*crowd)).draw(0, 0.0, (160, 160))
    assert picture.shape == (160, 160, 3) and picture.dtype == np.uint8


def test_the_stage_turns_but_a_moment_is_always_drawn_the_same() -> None:
    def stage(time_s: float) -> NDArray[np.uint8]:
        return Scene(result(motion())).draw(3, time_s, (200, 200))

    np.testing.assert_array_equal(stage(1.0), stage(1.0))
    assert (stage(1.0) != stage(2.0)).any()
