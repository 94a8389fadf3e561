"""The overlay: sizes, times, colours, places of people, camera, and no partial files."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from model.keypoints.sequences import KeypointSequence, PoseSequence
from model.keypoints.skeleton import H36M17
from model.motion.world import ANKLE_M
from model.rendering.orbit import ORBIT_S, Orbit
from model.rendering.overlay import Layout, render_overlay
from model.rendering.stage import bodies_on_floor, side_by_side, upright_rotation
from model.rendering.strokes import PALETTE, Colours, colours_of, draw_skeleton, draw_text
from model.rendering.view3d import View3D
from model.video.metadata import VideoInfo
from model.video.reader import open_video
from model.video.results import PersonMotion, VideoResult
from paths import ONE

STANDING = np.zeros((17, 3), np.float32)
"""A person who faces the camera, arms out: their left is on the image's right. Camera axes, m."""
for side, sign in (("left", 1), ("right", -1)):
    for joint, x, y in (
        *(("hip", 0.1, 0), ("knee", 0.12, 0.42), ("ankle", 0.14, 0.84)),
        *(("shoulder", 0.2, -0.45), ("elbow", 0.45, -0.45), ("wrist", 0.7, -0.45)),
    ):
        STANDING[H36M17.index(f"{side}_{joint}")] = [sign * x, y, 0]
for joint, y in (("spine", -0.22), ("thorax", -0.44), ("neck_nose", -0.6), ("head", -0.72)):
    STANDING[H36M17.index(joint)] = [0, y, 0]


def motion(id: int = 1, frames: range = range(48), x_px: float = 180) -> PersonMotion:
    """A person who stands still at x_px in an image of 360 x 640 px."""
    xy = np.repeat((STANDING[None, :, :2] * 200 + [x_px, 300]).astype(np.float32), len(frames), 0)
    keypoints = KeypointSequence(xy, np.ones((len(frames), 17)), (360, 640), 60, H36M17)
    poses = PoseSequence(np.repeat(STANDING[None], len(frames), 0), 60)
    numbers = np.array(frames, np.int64)
    return PersonMotion(id, numbers, numbers / 60, keypoints, poses, poses.xyz[:, 0])


def result(*people: PersonMotion, info: VideoInfo | None = None) -> VideoResult:
    info = info or VideoInfo(360, 640, 60, 48, 0.8)
    return VideoResult(info, ("mediapipe", "1"), ("poseformer-27", "1"), people, (), {}, None)


def near(
    image: NDArray[np.uint8], colour: tuple[int, int, int], within: int = 30
) -> NDArray[np.intp]:
    """(rows, columns) of the pixels of about this colour."""
    return np.argwhere((np.abs(image.astype(int) - colour) <= within).all(axis=-1))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("render") / "out.mp4"
    render_overlay(ONE, result(motion(1), motion(2, range(24, 48), 300)), out)
    return out


def test_video_is_on_the_left_and_a_square_3d_view_on_the_right(rendered: Path) -> None:
    with open_video(rendered) as video:
        frames = list(video.frames())
        assert video.warnings == []
    assert {frame.image.shape for frame in frames} == {(640, 360 + 640, 3)}
    with open_video(ONE) as original:
        for frame, source in zip(frames, original.frames(), strict=True):
            assert frame.time_s == pytest.approx(source.time_s, abs=1e-4)
            below = np.abs(frame.image[600:, :360].astype(int) - source.image[600:])
            assert below.mean() < 12, "the video itself is unchanged"


def test_mp4_can_be_played_while_it_loads(rendered: Path) -> None:
    content = rendered.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(str(rendered)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    assert [path.name for path in rendered.parent.iterdir()] == ["out.mp4"]


def test_colours_distinguish_people_and_sides_in_both_halves(rendered: Path) -> None:
    with open_video(rendered) as video:
        *_, last = video.frames()
    # without the blue mat and the legend at the bottom
    video_part, view = last.image[:450, :360], last.image[:580, 360:]
    for half in (video_part, view):
        columns = {}
        for id in (1, 2):
            colours = colours_of(id)
            left, right = near(half, colours.left), near(half, colours.right)
            assert len(left) > 50 and len(right) > 50
            columns[id] = right[:, 1].mean(), left[:, 1].mean()
            assert columns[id][0] < columns[id][1], "they face us: their left is on our right"
        assert columns[1][0] < columns[2][0] and columns[1][1] < columns[2][1]


def test_missing_person_is_not_drawn(rendered: Path) -> None:
    with open_video(rendered) as video:
        first = next(video.frames())
    view = first.image[:580, 360:]
    assert len(near(view, colours_of(2).right)) < 20
    assert len(near(view, colours_of(1).right)) > 100


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [0, 0.04, 0.1, 0.5, 0.52, 1.3]
    with av.open(str(tmp_path / "in.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 98, 62, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.zeros((62, 98, 3), np.uint8))
            frame.time_base, frame.pts = Fraction(1, 1000), round(time * 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    calls: list[tuple[str, int, int | None]] = []
    nobody = result(info=VideoInfo(98, 62, 4, 6, 1.5))
    render_overlay(tmp_path / "in.mkv", nobody, tmp_path / "o.mp4", lambda *now: calls.append(now))
    with open_video(tmp_path / "o.mp4") as video:
        np.testing.assert_allclose([f.time_s for f in video.frames()], times, atol=1e-4)
    assert calls == [("drawing", n, 6) for n in range(1, 7)]


@pytest.mark.parametrize("frame", [1, 20])
def test_interrupted_rendering_leaves_the_old_file(tmp_path: Path, frame: int) -> None:
    def stop(stage: str, done: int, total: int | None) -> None:
        if done == frame:
            raise InterruptedError

    out = tmp_path / "out.mp4"
    out.write_bytes(b"the old file")
    with pytest.raises(InterruptedError):
        render_overlay(ONE, result(motion()), out, stop)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert out.read_bytes() == b"the old file"


@pytest.mark.parametrize(
    ("size", "video", "view", "whole"),
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
def test_layout_sizes(
    size: tuple[int, int], video: tuple[int, int], view: tuple[int, int], whole: tuple[int, int]
) -> None:
    layout = Layout.of(*size)
    assert (layout.video, layout.view, layout.size) == (video, view, whole)
    parts = [np.zeros((height, width, 3)) for width, height in (video, view)]
    assert np.concatenate(parts, axis=layout.axis).shape == (whole[1], whole[0], 3)


def test_people_and_sides_have_distinct_colours() -> None:
    colours = [c for p in PALETTE for c in (p.left, p.middle, p.right)]
    assert len(set(colours)) == len(colours)
    assert colours_of(1) == colours_of(1 + len(PALETTE)) != colours_of(2)
    palette = Colours((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert [palette.of(j) for j in ("left_hip", "head", "right_knee")] == [
        palette.left,
        palette.middle,
        palette.right,
    ]


def test_bones_connect_joints_and_hidden_bones_are_left_out() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    points = STANDING[:, :2] * 200 + 200
    visible = np.ones(17, bool)
    visible[H36M17.index("left_wrist")] = False
    colours = colours_of(1)
    draw_skeleton(image, points, colours, 6, visible=visible)

    def between(a: str, b: str) -> tuple[int, ...]:
        x, y = (points[H36M17.index(a)] + points[H36M17.index(b)]) / 2
        return tuple(image[round(float(y)), round(float(x))].tolist())

    assert between("left_knee", "left_ankle") == colours.left
    assert between("right_elbow", "right_wrist") == colours.right
    assert between("spine", "thorax") == colours.middle
    assert between("left_elbow", "left_wrist") == (0, 0, 0)


@pytest.mark.parametrize("at", [(-1e9, 5), (1e9, 1e9), (399.7, -0.2)])
def test_points_far_outside_the_image_are_accepted(at: tuple[float, float]) -> None:
    points = STANDING[:, :2] * 200 + 200
    points[3] = at
    image = np.zeros((400, 400, 3), np.uint8)
    draw_skeleton(image, points, colours_of(1), 6)
    draw_text(image, "beyond the border", (at[0], at[1]), 20)


@pytest.mark.parametrize("tilt", [(0, 0), (20, 0), (0, -30), (15, 25)])
def test_people_are_upright_for_a_tilted_camera(tilt: tuple[float, float]) -> None:
    roll, pitch = np.radians(tilt)
    about_z = np.array(
        [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    )
    about_x = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    tilted = (STANDING @ (about_z @ about_x).T).astype(np.float32)
    turn = upright_rotation([tilted[None]])
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    body = tilted @ turn.T
    up = body[H36M17.index("head")] - body[[3, 6]].mean(axis=0)
    np.testing.assert_allclose(up / np.linalg.norm(up), [0, 1, 0], atol=1e-6)


def test_lying_person_is_not_turned_upright() -> None:
    lying = STANDING[:, [1, 0, 2]]
    np.testing.assert_array_equal(upright_rotation([lying[None]]), np.diag([1.0, -1.0, -1.0]))


def test_simultaneous_people_stand_side_by_side_and_others_share_a_place() -> None:
    right, left = motion(1, range(48), 300), motion(2, range(10, 48), 60)
    places = side_by_side([right, left], 360)
    assert places[2] < 0 < places[1]
    before, after = motion(1, range(20), 300), motion(2, range(25, 48), 60)
    assert side_by_side([before, after], 360) == {1: 0.0, 2: 0.0}
    assert side_by_side([], 360) == {}


def test_all_people_stand_on_the_floor() -> None:
    overlay = result(motion(1), motion(2, range(24, 48), 300))
    bodies = bodies_on_floor(overlay)
    for person in overlay.people:
        assert bodies[person.id].shape == (len(person.frames), 17, 3)
        np.testing.assert_allclose(bodies[person.id][..., 1].min(axis=1), ANKLE_M)


def test_camera_orbits_from_the_side_of_the_real_camera() -> None:
    overlay = result(motion())
    bodies = bodies_on_floor(overlay)
    orbit = Orbit(overlay.people, bodies, 48, 60)
    hand, foot = H36M17.index("left_wrist"), H36M17.index("left_ankle")

    def pixels(time_s: float) -> NDArray[np.float64]:
        return orbit.view(0, time_s, (400, 400)).project(bodies[1][0])

    np.testing.assert_allclose(pixels(0)[:, 0] - 200, -(pixels(ORBIT_S / 2)[:, 0] - 200), rtol=0.15)
    np.testing.assert_allclose(pixels(0), pixels(ORBIT_S), atol=1e-6)
    assert pixels(0)[hand, 0] > 230, "they face us: their left is on our right"
    assert abs(pixels(ORBIT_S / 4)[hand, 0] - 200) < 5, "from the side"
    assert pixels(0)[foot, 1] > pixels(0)[hand, 1]
    for time_s in np.linspace(0, ORBIT_S, 9):
        assert ((pixels(time_s) > 20) & (pixels(time_s) < 380)).all(), "all joints are in the image"


def test_camera_follows_people_and_stays_when_nobody_is_present() -> None:
    walker = motion(frames=range(20, 40))
    walk = np.repeat(STANDING[None], 20, 0).astype(np.float64)
    walk[..., 0] += np.linspace(0, 10, 20)[:, None]
    orbit = Orbit([walker], {1: walk}, 60, 60)
    centres = [orbit.view(frame, 0, (100, 100)).centre[0] for frame in range(60)]
    assert (np.diff(centres) >= 0).all() and centres[0] < 3 and centres[-1] > 7
    nobody = Orbit([], {}, 0, 30)
    assert nobody.view(5, 0, (100, 100)).centre.tolist() == [0, 0.9, 0]


def test_nearer_bones_are_thicker_and_brighter() -> None:
    points = STANDING[:, :2] * 200 + 200
    depth = 5 - STANDING[:, 0].astype(np.float64)
    image = np.zeros((400, 400, 3), np.uint8)
    draw_skeleton(image, points, Colours(*[(200, 200, 200)] * 3), 12, depth=depth)
    shoulder = round(float(points[H36M17.index("left_shoulder"), 1]))
    lit = image[:, :, 0].max(axis=0)
    left, right = (
        round(200 + sign * (0.45 + 0.7) / 2 * 200) for sign in (1, -1)
    )  # the middle of each forearm
    assert lit[left] > lit[right] > 0
    bright = image[shoulder - 20 : shoulder + 20, :, 0] > 60
    assert bright[:, left].sum() > bright[:, right].sum()


def test_many_people_in_a_small_image_are_drawn() -> None:
    crowd = [motion(n, range(5), 20 * n) for n in range(1, 17)]
    image = View3D(result(*crowd)).draw(0, 0.0, (160, 160))
    assert image.shape == (160, 160, 3) and image.dtype == np.uint8


def test_view_orbits_and_is_deterministic() -> None:
    def view(time_s: float) -> NDArray[np.uint8]:
        return View3D(result(motion())).draw(3, time_s, (200, 200))

    np.testing.assert_array_equal(view(1.0), view(1.0))
    assert (view(1.0) != view(2.0)).any()
