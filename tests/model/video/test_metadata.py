"""The focal length that a camera wrote into its file."""

from math import hypot
from pathlib import Path

import av
import numpy as np
import pytest

from model import Lifter, VideoOptions, lift_video
from model.video.metadata import KEYS, stated_focal_px


def write_film(path: Path, focal_mm: str) -> None:
    """Two black pictures of 64 x 48, and a note as an iPhone makes it."""
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata[KEYS[0]] = focal_mm
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        black = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        for picture in (black, black, None):
            container.mux(stream.encode(picture))


@pytest.mark.parametrize(
    ("given", "focal_px", "focal_from"),
    [(None, 26 * 80 / hypot(36, 24), "file"), (50.0, 50.0, "given")],
)
def test_a_video_is_lifted_with_what_its_file_says(
    tmp_path: Path, weights_file: Path, given: float | None, focal_px: float, focal_from: str
) -> None:
    write_film(tmp_path / "film.mov", "26")
    lifter, options = Lifter.load(weights_file), VideoOptions(focal_px=given)
    result = lift_video(tmp_path / "film.mov", lifter, options)
    assert result.applied["focal_px"] == pytest.approx(focal_px)
    assert result.applied["focal_from"] == focal_from


@pytest.mark.parametrize("stated", ["", "wide", "nan", "inf", "0", "-26", "1e9"])
def test_what_no_lens_can_have_is_as_if_nothing_were_said(stated: str) -> None:
    assert stated_focal_px({KEYS[0]: stated}, (64, 48)) is None
    assert stated_focal_px({}, (64, 48)) is None
