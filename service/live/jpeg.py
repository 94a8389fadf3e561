"""Decodes JPEG images of a live stream; rejects those that would take too long before decoding."""

import io
import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from model import MAX_SIDE_PX, TooLarge
from service.errors import NotUnderstood

MAX_SCANS = 100
"""Progressive JPEGs usually have ten. Decoding takes up to 25 ms per scan, of 80 bytes or more."""
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
"""A marker of a segment with a length, or of the end (ITU-T T.81, table B.1)."""
_SCAN, _END = b"\xda", b"\xd9"


def read_jpeg(data: bytes, max_pixels: int) -> NDArray[np.uint8]:
    """The upright RGB image (H, W, 3). Raises NotUnderstood and, before decoding, TooLarge."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            _check_cost(data, image.width, image.height, max_pixels)
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except TooLarge:
        raise
    except Image.DecompressionBombError as error:
        raise TooLarge(f"an image may have {max_pixels} pixels ({error})") from error
    except UnidentifiedImageError as error:
        raise NotUnderstood("a binary message must be a JPEG image, got something else") from error
    except Exception as error:  # Pillow raises many types for damaged files
        raise NotUnderstood(f"a binary message must be a JPEG image: {error}") from error


def _check_cost(data: bytes, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels or max(width, height) > MAX_SIDE_PX:
        raise TooLarge(
            f"an image may have {max_pixels} pixels and {MAX_SIDE_PX} px per side, "
            f"got {width}x{height}"
        )
    if (scans := _count_scans(data)) > MAX_SCANS:
        raise TooLarge(f"a JPEG may have {MAX_SCANS} scans, got {scans}")


def _count_scans(jpeg: bytes) -> int:
    """Excludes those of thumbnails, and data after the end, such as the videos of phones."""
    scans = place = 0
    while (marker := _MARKER.search(jpeg, place)) and marker[1] != _END:
        scans += marker[1] == _SCAN
        place = marker.end() + int.from_bytes(jpeg[marker.end() : marker.end() + 2])
    return scans
