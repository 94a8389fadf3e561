"""JPEG images of a live stream: decoded, or refused before that where it would cost too much."""

import io
import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from model import MAX_SIDE_PX, TooLarge
from service.errors import NotUnderstood

MAX_SCANS = 100
"""A progressive JPEG has some ten. Each costs up to 25 ms, and may take no more than 80 bytes."""
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
"""Of a part of a JPEG that states its length, or of its end (ITU-T T.81, table B.1)."""
_SCAN, _END = b"\xda", b"\xd9"


def read_jpeg(data: bytes, max_pixels: int) -> NDArray[np.uint8]:
    """The upright RGB picture (H, W, 3). Raises NotUnderstood and, before decoding, TooLarge."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            _check_cost(data, image.width, image.height, max_pixels)
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except TooLarge:
        raise
    except Image.DecompressionBombError as error:
        raise TooLarge(f"a picture has at most {max_pixels} pixels here ({error})") from error
    except UnidentifiedImageError as error:
        raise NotUnderstood("a binary message is one JPEG picture, and this is none") from error
    except Exception as error:  # of many types, for files damaged in many ways
        raise NotUnderstood(f"a binary message is one JPEG picture: {error}") from error


def _check_cost(data: bytes, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels or max(width, height) > MAX_SIDE_PX:
        raise TooLarge(
            f"a picture has at most {max_pixels} pixels and {MAX_SIDE_PX} px a side here, "
            f"got {width}x{height}"
        )
    if (scans := _count_scans(data)) > MAX_SCANS:
        raise TooLarge(f"a JPEG has at most {MAX_SCANS} scans here, got {scans}")


def _count_scans(jpeg: bytes) -> int:
    """Not those of a thumbnail, nor what comes after the end, as phones' films do."""
    scans = place = 0
    while (marker := _MARKER.search(jpeg, place)) and marker[1] != _END:
        scans += marker[1] == _SCAN
        place = marker.end() + int.from_bytes(jpeg[marker.end() : marker.end() + 2])
    return scans
