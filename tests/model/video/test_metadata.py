"""The focal length in a video's metadata."""

from math import hypot
from pathlib import Path

import av
import numpy as np
import pytest

from model import Lifter, VideoOptions, lift_video
from model.video.metadata import FOCAL_KEYS, stated_focal_px


def write_video(path: Path, focal_mm: str) -> None:
    """Two black frames of 64 x 48 px, with an iPhone's metadata."""
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata[FOCAL_KEYS[0]] = focal_mm
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        black = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        for frame in (black, black, None):
            container.mux(stream.encode(frame))


@pytest.mark.parametrize(
    ("option", "focal_px", "focal_from"),
    [(None, 26 * 80 / hypot(36, 24), "file"), (50.0, 50.0, "given")],
)
def test_focal_length_option_overrides_the_metadata(
    tmp_path: Path, weights_file: Path, option: float | None, focal_px: float, focal_from: str
) -> None:
    write_video(tmp_path / "video.mov", "26")
    lifter, options = Lifter.load(weights_file), VideoOptions(focal_px=option)
    result = lift_video(tmp_path / "video.mov", lifter, options)
    assert result.applied["focal_px"] == pytest.approx(focal_px)
    assert result.applied["focal_from"] == focal_from


@pytest.mark.parametrize("stated", ["", "wide", "nan", "inf", "0", "-26", "1e9"])
def test_implausible_focal_length_is_ignored(stated: str) -> None:
    assert stated_focal_px({FOCAL_KEYS[0]: stated}, (64, 48)) is None
    assert stated_focal_px({}, (64, 48)) is None
