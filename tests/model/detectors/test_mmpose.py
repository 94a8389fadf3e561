"""MMPose, if installed by `make mmpose`: an RTMPose of one of its configs with random weights, on a
real clip. `make test-mmpose` runs this file."""

import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from model import COCO17, DetectorUnavailable, InvalidInput, open_detector, open_video
from model.detectors.mmpose import detector as adapter
from model.detectors.mmpose.models import _build
from model.detectors.mmpose.stand_ins import _CompiledOperations
from model.detectors.network import ImageNetwork
from model.detectors.rtmpose import estimate
from model.keypoints.sequences import Image
from paths import CLIPS
from servers import ServerStarter

ONE, TWO = CLIPS / "one_person.mp4", CLIPS / "two_people.mp4"
TINY = "rtmpose-t_8xb256-420e_body8-256x192"
MAN_AND_WOMAN = np.float32([[255, 20, 360, 215], [620, 250, 740, 450]])

installed = pytest.mark.skipif(find_spec("mmpose") is None, reason="`make mmpose` installs it")
# of MMPose and its packages
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore:The metainfo config file",
    "ignore:torch.meshgrid",
)


@pytest.fixture(scope="module")
def config() -> Path:
    adapter._import_all()
    return adapter._config_file(TINY)


@pytest.fixture(scope="module")
def tiny(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an untrained model, as MMEngine writes them during training."""
    return saved(TINY, tmp_path_factory.mktemp("mmpose") / "tiny.pth")


def saved(name: str, path: Path, scale: float = 1) -> Path:
    import torch
    from mmengine.logging.history_buffer import HistoryBuffer

    torch.manual_seed(0)
    model = _build("mmpose", adapter._config_file(name), "cpu")
    state = {name: scale * weights for name, weights in model.state_dict().items()}
    meta = {"dataset_meta": model.dataset_meta, "epoch": 3}
    logs = {"loss": HistoryBuffer([0.5], [1])}
    torch.save({"state_dict": state, "meta": meta, "message_hub": logs}, path)
    return path


@pytest.fixture
def image() -> Image:
    with open_video(TWO) as video:
        return next(iter(video.frames())).image


def detector_name(config: Path | str, checkpoint: Path, boxes: str = "mediapipe") -> str:
    return f"mmpose:{config},{checkpoint},boxes={boxes}"


@installed
def test_mmpose_finds_both_people_of_a_real_clip(config: Path, tiny: Path) -> None:
    with (
        open_video(TWO) as video,
        closing(open_detector(detector_name(config, tiny), 3)) as detector,
    ):
        assert (detector.name, detector.version) == ("mmpose", f"1.3.2 {TINY}")
        assert detector.skeleton == COCO17
        for frame in islice(video.frames(), 3):
            people = detector.detect(frame.image, frame.time_s)
            assert len(people) == 2
            for person in people:
                assert person.xy.shape == (17, 2) and person.xy.dtype == np.float32
                assert np.isfinite(person.xy).all()
                assert person.score.min() >= 0 and person.score.max() <= 1


@installed
def test_batch_of_people_equals_single_people(config: Path, tiny: Path, image: Image) -> None:
    model = adapter.load_model("mmpose", config, tiny, "cpu")
    together = adapter._estimate(model, image, MAN_AND_WOMAN)
    for box, person in zip(MAN_AND_WOMAN, together, strict=True):
        (alone,) = adapter._estimate(model, image, box[None])
        np.testing.assert_allclose(person.xy, alone.xy, atol=1e-3)
        np.testing.assert_allclose(person.score, alone.score, atol=1e-4)


@installed
def test_rtmpose_detector_equals_mmpose_for_the_exported_network(
    config: Path, tiny: Path, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MMPose is the oracle of the rtmpose detector: crop, colours, decoding, inverse transform."""
    import torch

    model = adapter.load_model("mmpose", config, tiny, "cpu")
    monkeypatch.setitem(model.test_cfg, "flip_test", False)
    exported = tmp_path / "tiny.onnx"
    torch.onnx.export(
        Curves(model),
        (torch.zeros(2, 3, 256, 192),),
        exported,
        dynamo=True,
        external_data=False,
        dynamic_shapes=({0: torch.export.Dim("people")},),
        verbose=False,
    )
    ours = estimate(ImageNetwork(exported, "cpu"), image, MAN_AND_WOMAN)
    theirs = adapter._estimate(model, image, MAN_AND_WOMAN)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.score, b.score, atol=1e-4)
        same = np.isclose(a.xy, b.xy, atol=1e-2).all(axis=1)
        assert same.sum() >= 16, "a random curve may have two equal maxima"


def Curves(model: Any) -> Any:
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Any) -> Any:
            return self.model.head(self.model.extract_feat(images))

    return Network().eval()


@installed
def test_service_uses_mmpose_and_rejects_configs_in_requests(
    config: Path, tiny: Path, start_server: ServerStarter
) -> None:
    with start_server(detector=detector_name(config, tiny, "whole-image")) as client:
        reply = post(client)
        rejected = client.post("/video", files={"file": b""}, params={"detector": "mmpose:x.py"})
    assert rejected.status_code == 422
    assert reply.status_code == 200, reply.text
    assert reply.json()["detector"] == {"name": "mmpose", "version": f"1.3.2 {TINY}"}
    (person,) = reply.json()["people"]
    assert len(person["frames"]) > 4
    assert np.isfinite(np.float32(person["poses"])).all()


def post(client: httpx.Client) -> httpx.Response:
    return client.post(
        "/video", files={"file": ONE.read_bytes()}, params={"max_people": 1}, timeout=300
    )


@installed
def test_model_name_loads_the_published_weights(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls: list[str] = []

    def cached_download(url: str) -> Path:
        urls.append(url)
        return tiny

    monkeypatch.setattr(adapter, "cached_download", cached_download)
    open_detector(f"mmpose:{TINY},boxes=whole-image", 1).close()
    with pytest.raises(DetectorUnavailable, match="checkpoint of another model"):
        open_detector("mmpose,boxes=whole-image", 1)
    files = [url.rpartition("/")[2] for url in urls]
    assert files == [
        "rtmpose-t_simcc-body7_pt-body7_420e-256x192-026a1439_20230504.pth",
        "rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504.pth",
    ]


@installed
def test_mmdetection_boxes_with_and_without_people(
    config: Path, tiny: Path, image: Image, tmp_path: Path
) -> None:
    """A class bias makes every box a person, or none."""
    import torch

    demo = adapter._configs("mmpose") / "demo" / "mmdetection_cfg"
    rtmdet, weights = demo / "rtmdet_nano_320-8xb32_coco-person.py", tmp_path / "rtmdet.pth"
    torch.manual_seed(0)
    state = _build("mmdet", rtmdet, "cpu").state_dict()
    for bias, people in ((20.0, 2), (-20.0, 0)):
        for name in state:
            if "rtm_cls" in name and name.endswith("bias"):
                state[name].fill_(bias)
        torch.save({"state_dict": state}, weights)
        with closing(
            open_detector(detector_name(config, tiny, f"mmdet:{rtmdet};{weights}"), 2)
        ) as detector:
            assert len(detector.detect(image, 0)) == people


@installed
def test_one_stage_model_needs_no_boxes(image: Image, tmp_path: Path) -> None:
    name = "rtmo-t_8xb32-600e_body7-416x416"
    checkpoint = saved(name, tmp_path / "rtmo.pth", scale=0.5)
    with closing(open_detector(f"mmpose:{name},{checkpoint}", 3)) as detector:
        assert detector.skeleton == COCO17
        people = detector.detect(image, 0)
    assert len(people) == 3
    for person in people:
        assert person.xy.shape == (17, 2) and np.isfinite(person.xy).all()


SETS = [
    ("td-hm_hrnet-w32_8xb64-210e_aic-256x192", "aic14"),
    ("td-hm_hrnet-w32_8xb64-210e_crowdpose-256x192", "crowdpose14"),
    ("rtmpose-m_8xb512-700e_body8-halpe26-256x192", "halpe26"),
    ("rtmpose-m_8xb64-270e_coco-wholebody-256x192", "wholebody133"),
]


@installed
@pytest.mark.parametrize(("name", "expected"), SETS)
def test_joint_set_is_found_by_joint_names(name: str, expected: str) -> None:
    meta = meta_of(name)
    skeleton = adapter._skeleton(adapter.DetectorName("mmpose"), Path(name), meta)
    assert skeleton.name == expected
    if expected == "wholebody133":
        assert list(skeleton.mirror) == meta["flip_indices"]


def meta_of(name: str) -> dict[str, Any]:
    adapter._import_all()
    from mmengine.config import Config
    from mmpose.apis.inference import dataset_meta_from_config

    meta: dict[str, Any] = dataset_meta_from_config(
        Config.fromfile(adapter._config_file(name)), "val"
    )
    return meta


@installed
def test_animal_joint_set_is_rejected() -> None:
    meta = meta_of("rtmpose-m_8xb64-210e_ap10k-256x256")
    assert len(meta["keypoint_id2name"]) == 17
    for name in (adapter.DetectorName("mmpose"), adapter.DetectorName("mmpose", joints="aic14")):
        with pytest.raises(DetectorUnavailable, match="ap10k.*cannot be converted to H36M-17"):
            adapter._skeleton(name, Path("x"), meta)


class Evil:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return exec, ("raise SystemExit('a checkpoint ran code')",)


@installed
def test_unusable_checkpoints_are_rejected(config: Path, tiny: Path, tmp_path: Path) -> None:
    import torch

    other = adapter._config_file("rtmpose-s_8xb256-420e_body8-256x192")
    with pytest.raises(DetectorUnavailable, match="checkpoint of another model"):
        open_detector(detector_name(other, tiny), 1)
    torch.save({"state_dict": {}}, tmp_path / "empty.pth")
    with pytest.raises(DetectorUnavailable, match="lacks backbone"):
        open_detector(detector_name(config, tmp_path / "empty.pth"), 1)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"state_dict": Evil()}))
    torch.save({"state_dict": Evil()}, tmp_path / "evil2.pth")
    (tmp_path / "text.pth").write_text("no checkpoint")
    for name in ("evil.pth", "evil2.pth", "text.pth"):
        with pytest.raises(DetectorUnavailable, match="read safely"):
            open_detector(detector_name(config, tmp_path / name), 1)
    with pytest.raises(InvalidInput, match="no such checkpoint file"):
        open_detector(detector_name(config, tmp_path / "none.pth"), 1)


@installed
def test_unusable_configs_are_rejected(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="body26.*human"):
        open_detector("mmpose:rtmpose-huge", 1)
    for text in ("model = (", "model = dict(type='Nothing', backbone=dict())", ""):
        broken = tmp_path / "broken.py"
        broken.write_text(text)
        with pytest.raises(DetectorUnavailable, match=r"broken\.py cannot be used"):
            open_detector(detector_name(broken, tiny), 1)
    with pytest.raises(InvalidInput, match="needs a checkpoint"):
        open_detector(f"mmpose:{broken}", 1)


@installed
def test_stand_ins_are_removed_after_the_import(config: Path) -> None:
    assert not any(isinstance(module, _CompiledOperations) for module in sys.modules.values())
    assert not {"torchvision", "xtcocotools"} - {
        name for name in ("torchvision", "xtcocotools") if find_spec(name) is None
    }


@installed
def test_stand_in_nms_equals_its_definition(rng: np.random.Generator) -> None:
    import torch

    corners = rng.uniform(0, 50, (60, 2))
    boxes = np.float32(np.concatenate([corners, corners + rng.uniform(5, 40, (60, 2))], axis=1))
    scores = np.float32(rng.uniform(0.1, 1, 60))
    kept = _CompiledOperations.nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.4, 0)
    assert kept.tolist() == plain_nms(boxes, scores, 0.4)
    with pytest.raises(DetectorUnavailable, match="roi_align_forward"):
        _CompiledOperations("mmcv._ext").roi_align_forward()


def plain_nms(boxes: Any, scores: Any, max_overlap: float) -> list[int]:
    kept: list[int] = []
    for index in np.argsort(-scores):
        if all(overlap(boxes[index], boxes[other]) <= max_overlap for other in kept):
            kept.append(int(index))
    return kept


def overlap(a: Any, b: Any) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = float(np.prod(np.maximum(sides, 0)))
    return common / (float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - common)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "mmdet", None)
    return


def test_message_without_packages_says_what_to_run(nothing_installed: None) -> None:
    with pytest.raises(DetectorUnavailable, match="make mmpose"):
        open_detector("mmpose", 1)
