"""Stand-ins for imports of MMPose that are not available for current Python and torch.

They are used during the import only, and only if the real package is not installed:

- `mmcv._ext`, mmcv's compiled operations: OpenMMLab builds them for old versions of torch only.
  RTMPose, RTMO, HRNet and ViTPose call none. RTMDet and YOLOX, which detect people, call `nms`,
  implemented here with OpenCV; any other raises DetectorUnavailable when called.
- `torchvision`: PyPI's builds need CUDA libraries and one exact torch. MMPose uses one class of it,
  for drawing.
- `xtcocotools`: its wheels need NumPy 1 and Python 3.11 at most. pycocotools has the same modules;
  they read data sets, which never happens here.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import cv2

from model.errors import DetectorUnavailable

Make = Callable[[], dict[str, ModuleType]]


@contextmanager
def stand_ins() -> Iterator[None]:
    """Put stand-ins of the missing packages in sys.modules, and remove them at the end."""
    placed: dict[str, ModuleType] = {}
    for name, make in _STAND_INS.items():
        if not _is_installed(name):
            placed |= make()
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name in placed:
            del sys.modules[name]


def _is_installed(name: str) -> bool:
    try:
        import_module(name)
    except (ImportError, RuntimeError, OSError):
        # a torchvision built for another torch raises RuntimeError
        return False
    return True


class _CompiledOperations(ModuleType):
    """mmcv's operations: `nms`; calling any other raises DetectorUnavailable."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> None:
            raise DetectorUnavailable(
                f"this model calls mmcv's compiled operation {name}, which mmcv-lite lacks; "
                "install the full mmcv, built for this torch"
            )

        return missing

    @staticmethod
    def nms(boxes: Any, scores: Any, iou_threshold: float, offset: int) -> Any:
        """Indices of the boxes (n, 4), left, top, right, bottom, to keep, highest score first."""
        corners, sides = boxes[:, :2], boxes[:, 2:] - boxes[:, :2] + offset
        rectangles = import_module("torch").cat([corners, sides], dim=1).tolist()
        kept = cv2.dnn.NMSBoxes(rectangles, scores.tolist(), 0.0, iou_threshold)
        return boxes.new_tensor(kept).long()


def _compiled_operations() -> dict[str, ModuleType]:
    return {"mmcv._ext": _CompiledOperations("mmcv._ext")}


def _torchvision() -> dict[str, ModuleType]:
    transforms = ModuleType("torchvision.transforms")
    transforms.ToPILImage = object  # type: ignore[attr-defined]
    return {"torchvision": ModuleType("torchvision"), "torchvision.transforms": transforms}


def _xtcocotools() -> dict[str, ModuleType]:
    parts = {part: import_module(f"pycocotools.{part}") for part in ("coco", "cocoeval", "mask")}
    named = {f"xtcocotools.{part}": module for part, module in parts.items()}
    return {"xtcocotools": import_module("pycocotools")} | named


_STAND_INS: dict[str, Make] = {
    "xtcocotools": _xtcocotools,
    "torchvision": _torchvision,
    "mmcv._ext": _compiled_operations,
}
