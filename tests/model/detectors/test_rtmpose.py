"""RTMPose and RTMO as ONNX, on people of coloured dots at known pixels."""

import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from dot_people import (
    Float32,
    box_around,
    colours,
    constant_network,
    draw,
    mean_box_network,
    simcc_network,
    standing,
)
from model import COCO17, DetectorUnavailable, InvalidInput, UnknownName, open_detector
from model.detectors.boxes import NetworkBoxes, decode_yolox, suppress
from model.detectors.network import ImageNetwork
from model.detectors.person import Person
from model.detectors.rtmpose import decode_simcc, estimate
from model.detectors.top_down import TopDownDetector
from model.detectors.view import View

SIZE = (640, 360)


@pytest.fixture
def network_path(tmp_path: Path) -> Path:
    return simcc_network(tmp_path / "dots.onnx")


def assert_people(people: list[Person], expected: list[Float32], within_px: float) -> None:
    assert len(people) == len(expected)
    for person, joints in zip(people, expected, strict=True):
        assert person.xy.dtype == person.score.dtype == np.float32
        assert np.abs(person.xy - joints).max() <= within_px
        assert person.score.min() > 0.6 and person.score.max() <= 1


def test_joints_are_found_in_each_box_alone_and_in_a_batch(network_path: Path) -> None:
    people = [standing(150, 180, 200), standing(340, 110, 160), standing(610, 220, 240)]
    network = ImageNetwork(network_path, "cpu")
    image, boxes = draw(people, SIZE), np.stack([box_around(joints) for joints in people])
    detections = estimate(network, image, boxes)
    for person, joints, box in zip(detections, people, boxes, strict=True):
        input_px = 1 / View.around(box, network.input_size).scale
        in_image = (joints < SIZE).all(axis=1)
        assert np.abs(person.xy - joints)[in_image].max() <= 0.75 * input_px + 0.5
        assert person.score[in_image].min() > 0.6 and person.score.max() <= 1
    for together, box in zip(detections, boxes, strict=True):
        (alone,) = estimate(network, image, box[None])
        np.testing.assert_array_equal(together.xy, alone.xy)
        np.testing.assert_allclose(together.score, alone.score, atol=1e-6)


def test_network_with_batch_1_gives_equal_keypoints(tmp_path: Path) -> None:
    people = [standing(150, 180, 200), standing(420, 180, 220)]
    image, boxes = draw(people, SIZE), np.stack([box_around(joints) for joints in people])
    files = (simcc_network(tmp_path / f"{n}.onnx", batch=n) for n in (1, "n"))
    networks = (ImageNetwork(file, "cpu") for file in files)
    single, batch = (estimate(network, image, boxes) for network in networks)
    for a, b in zip(single, batch, strict=True):
        np.testing.assert_array_equal(a.xy, b.xy)


def test_decode_simcc_equals_its_definition(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(3, 5, 40)).astype(np.float32), rng.normal(size=(3, 5, 30))
    xy, score = decode_simcc(x, np.float32(y))
    for person in range(3):
        for joint in range(5):
            columns, rows = list(x[person, joint]), list(np.float32(y)[person, joint])
            assert xy[person, joint, 0] == columns.index(max(columns)) / 2
            assert xy[person, joint, 1] == rows.index(max(rows)) / 2
            assert score[person, joint] == min(max(columns), max(rows))


@pytest.mark.parametrize("box", [(100, 50, 180, 300), (0, 0, 640, 360), (-40, 300, 20, 500)])
def test_view_around_a_box_maps_back_to_the_image(box: tuple[float, ...]) -> None:
    view = View.around(np.float32(box), (96, 128))
    cut = view.cut(np.full((360, 640, 3), 255, np.uint8))
    assert cut.shape == (128, 96, 3)
    corners = view.to_image(np.float32([[0, 0], [96, 128]]))
    width, height = corners[1] - corners[0]
    assert width / height == pytest.approx(96 / 128)
    np.testing.assert_allclose(corners.mean(axis=0), [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    assert width >= 1.25 * (box[2] - box[0]) - 1e-3 and height >= 1.25 * (box[3] - box[1]) - 1e-3
    assert min(width / (box[2] - box[0]), height / (box[3] - box[1])) == pytest.approx(1.25)


class CountingBoxes:
    """Scripted boxes, one entry per search."""

    follows = True

    def __init__(self, *script: list[Float32]):
        self.script = list(script)
        self.searched: list[float] = []

    def find(self, image: object, time_s: float) -> Float32:
        self.searched.append(time_s)
        return np.float32(self.script.pop(0)).reshape(-1, 4)

    def close(self) -> None: ...


def top_down(network_path: Path, boxes: CountingBoxes, max_people: int = 4) -> TopDownDetector:
    network = ImageNetwork(network_path, "cpu")
    return TopDownDetector(
        ("rtmpose", "dots"), COCO17, boxes, lambda image, b: estimate(network, image, b), max_people
    )


def test_people_are_followed_between_searches(network_path: Path) -> None:
    walk = [standing(150 + 8 * step, 180, 200) for step in range(12)]
    boxes = CountingBoxes([box_around(walk[0])], [box_around(walk[10])])
    detector = top_down(network_path, boxes)
    for step, joints in enumerate(walk):
        assert_people(detector.detect(draw([joints], SIZE), step * 0.04), [joints], within_px=3)
    assert boxes.searched == [0, pytest.approx(0.32)]


def test_empty_boxes_give_no_people_and_a_new_search(network_path: Path) -> None:
    joints = standing(300, 180, 200)
    boxes = CountingBoxes([], [], [box_around(joints)])
    detector = top_down(network_path, boxes)
    image = draw([joints], SIZE)
    assert [len(detector.detect(image, step * 0.04)) for step in range(4)] == [0, 0, 1, 1]


def test_at_most_max_people_are_detected(network_path: Path) -> None:
    people = [standing(100 + 200 * i, 180, 200) for i in range(3)]
    boxes = CountingBoxes([box_around(joints) for joints in people])
    detector = top_down(network_path, boxes, max_people=2)
    assert_people(detector.detect(draw(people, SIZE), 0), people[:2], within_px=3)


def test_whole_image_boxes_are_one_person(network_path: Path) -> None:
    joints = standing(100, 120, 180)
    with closing(open_detector(f"rtmpose:{network_path},boxes=whole-image", 4)) as detector:
        assert (detector.name, detector.skeleton) == ("rtmpose", COCO17)
        assert detector.version.startswith("dots-")
        assert_people(detector.detect(draw([joints], (200, 240)), 0), [joints], within_px=3)


def test_default_boxes_of_mediapipe_find_no_dots(network_path: Path) -> None:
    with closing(open_detector(f"rtmpose:{network_path}", 2)) as detector:
        assert detector.detect(draw([standing(300, 180, 200)], SIZE), 0) == []


def test_joints_that_are_not_finite_get_score_0(tmp_path: Path) -> None:
    curves = np.zeros((1, 17, 32), np.float32)
    curves[0, :, 7] = 0.5
    curves[0, 3] = np.nan
    path = constant_network(tmp_path / "some.onnx", (16, 16), simcc_x=curves, simcc_y=curves)
    with closing(open_detector(f"rtmpose:{path},boxes=whole-image", 1)) as detector:
        (person,) = detector.detect(np.zeros((16, 16, 3), np.uint8), 0)
    assert person.score.tolist() == [0.5, 0.5, 0.5, 0, *[0.5] * 13]
    assert np.isfinite(person.xy).all()


def test_network_without_finite_output_raises(tmp_path: Path) -> None:
    nothing = np.full((1, 17, 32), np.nan, np.float32)
    path = constant_network(tmp_path / "nan.onnx", (16, 16), simcc_x=nothing, simcc_y=nothing)
    with (
        closing(open_detector(f"rtmpose:{path},boxes=whole-image", 1)) as detector,
        pytest.raises(DetectorUnavailable, match="not finite"),
    ):
        detector.detect(np.zeros((16, 16, 3), np.uint8), 0)


def test_rtmo_returns_people_without_duplicates_and_low_scores(tmp_path: Path) -> None:
    joints = np.float32(np.random.default_rng(1).uniform(0, 300, (1, 4, 17, 3)))
    joints[..., 2] = np.linspace(0, 1.5, 17)
    boxes = np.float32([[[0, 0, 50, 90, 0.5], [1, 1, 50, 90, 0.6], [60, 0, 99, 90, 0.9]]])
    boxes = np.concatenate([boxes, np.float32([[[200, 0, 240, 90, 0.2]]])], axis=1)
    path = constant_network(tmp_path / "rtmo.onnx", (320, 320), dets=boxes, keypoints=joints)
    with closing(open_detector(f"rtmpose:{path}", 4)) as detector:
        people = detector.detect(np.zeros((360, 640, 3), np.uint8), 0)
    assert len(people) == 2, "neither the duplicate nor the low score"
    for person, row in zip(people, (2, 1), strict=True):
        np.testing.assert_allclose(person.xy, joints[0, row, :, :2] * 2, rtol=1e-6)
        np.testing.assert_array_equal(person.score, np.clip(joints[0, row, :, 2], 0, 1))
    with pytest.raises(InvalidInput, match="takes no boxes"):
        open_detector(f"rtmpose:{path},boxes=mediapipe", 4)


def test_box_networks_read_bgr_and_rtmdet_normalised(tmp_path: Path) -> None:
    network = ImageNetwork(mean_box_network(tmp_path / "box.onnx", (64, 64)), "cpu")
    image = np.full((64, 64, 3), (90, 20, 10), np.uint8)
    raw = np.array([10, 20, 90])
    (box,) = NetworkBoxes(network, normalised=False).find(image, 0)
    np.testing.assert_allclose(box, [*raw, 1000], rtol=1e-5)
    (box,) = NetworkBoxes(network, normalised=True).find(image, 0)
    normalised = (raw - [103.53, 116.28, 123.675]) / [57.375, 57.12, 58.395]
    np.testing.assert_allclose(box, [*normalised, 1000], rtol=1e-5)


def test_decode_yolox_equals_its_definition(tmp_path: Path, rng: np.random.Generator) -> None:
    rows = rng.normal(size=(1, 8 * 8 + 4 * 4 + 2 * 2, 8)).astype(np.float32)
    rows[..., 4:] = rng.uniform(0, 1, rows[..., 4:].shape)
    boxes, scores = decode_yolox(rows[0], (64, 64))
    row = 0
    for stride in (8, 16, 32):
        for line in range(64 // stride):
            for column in range(64 // stride):
                x, y, w, h, is_object, is_person = rows[0, row, :6]
                middle = np.array([column + x, line + y]) * stride
                half = np.exp([w, h]) * stride / 2
                np.testing.assert_allclose(boxes[row], [*middle - half, *middle + half], rtol=1e-4)
                assert scores[row] == is_object * is_person
                row += 1
    path = constant_network(tmp_path / "yolox.onnx", (64, 64), output=rows)
    detector = NetworkBoxes(ImageNetwork(path, "cpu"), normalised=False)
    kept = detector.find(np.zeros((64, 64, 3), np.uint8), 0)
    np.testing.assert_allclose(kept[0], boxes[np.argmax(scores)], rtol=1e-4)


def test_suppress_keeps_the_best_of_duplicates_and_finite_boxes() -> None:
    boxes = np.float32([[0, 0, 10, 10], [0, 0, 10, 11], [50, 0, 60, 10], [0, 0, np.nan, 9]])
    assert suppress(boxes, np.float32([0.5, 0.8, 0.4, 0.9])) == [1, 2]
    assert suppress(boxes, np.float32([0.1, 0.2, np.nan, 0.9])) == []


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"heatmaps": np.zeros((1, 17, 8, 8), np.float32)}, "neither RTMPose"),
        ({"x": np.zeros((1, 14, 8)), "y": np.zeros((1, 14, 8))}, "name a joint set"),
    ],
)
def test_other_networks_are_rejected(
    tmp_path: Path, outputs: dict[str, Float32], message: str
) -> None:
    arrays = {name: np.float32(value) for name, value in outputs.items()}
    path = constant_network(tmp_path / "other.onnx", (16, 16), **arrays)
    with pytest.raises(DetectorUnavailable, match=message):
        open_detector(f"rtmpose:{path},boxes=whole-image", 1)


def test_joints_option_selects_the_joint_set(tmp_path: Path) -> None:
    path = simcc_network(tmp_path / "fourteen.onnx", joints=14)
    for joints in ("aic14", "crowdpose14"):
        name = f"rtmpose:{path},boxes=whole-image,joints={joints}"
        with closing(open_detector(name, 1)) as detector:
            assert detector.skeleton.name == joints
    with pytest.raises(DetectorUnavailable, match="14 joints"):
        open_detector(f"rtmpose:{path},joints=coco17", 1)
    with pytest.raises(UnknownName, match="coco17"):
        open_detector(f"rtmpose:{path},joints=coco18", 1)


def test_archive_with_one_network_is_opened(network_path: Path) -> None:
    archive = network_path.with_name("published.zip")
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(network_path, "20230504/rtmpose/end2end.onnx")
        packed.writestr("20230504/rtmpose/deploy.json", "{}")
    name = f"rtmpose:{archive},boxes=whole-image"
    for _ in range(2):
        with closing(open_detector(name, 1)) as detector:
            assert len(detector.detect(draw([standing(100, 120, 180)], (200, 240)), 0)) == 1
    with zipfile.ZipFile(archive, "a") as packed:
        packed.write(network_path, "another.onnx")
    with pytest.raises(DetectorUnavailable, match="one ONNX file, found 2"):
        open_detector(name, 1)


@pytest.mark.parametrize("content", [b"", b"no network at all" * 9])
def test_message_names_a_file_that_is_no_network(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(DetectorUnavailable, match="broken.onnx is not a usable ONNX network"):
        open_detector(f"rtmpose:{path}", 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rtmpose", "rtmpose-m"),
        ("rtmpose:", "rtmpose-m"),
        ("rtmpose:/nowhere.onnx", "no such model file"),
        ("rtmpose:a.onnx,b.onnx", "expected rtmpose:MODEL"),
        ("mediapipe:lite", "expected mediapipe or mediapipe:heavy"),
        ("mediapipe,boxes=whole-image", "takes no options"),
        ("mmpose:a,b,c", "CONFIG,CHECKPOINT"),
        ("openpose", "known: mediapipe, mediapipe:heavy, mmpose"),
        ("class:", "PACKAGE.CLASS"),
    ],
)
def test_invalid_detector_names_are_rejected(name: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        open_detector(name, 1)


def test_unknown_box_detectors_are_rejected(network_path: Path) -> None:
    for boxes in ("faces", "yolo11:x.onnx"):
        with pytest.raises(InvalidInput, match="mediapipe, whole-image, yolox-tiny"):
            open_detector(f"rtmpose:{network_path},boxes={boxes}", 1)


def test_dot_colours_are_distinct() -> None:
    alike = colours() @ colours().T - np.eye(17)
    assert alike.max() < 0.85
