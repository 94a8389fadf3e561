"""The focal length that a camera wrote into its video file."""

from collections.abc import Mapping
from math import hypot

KEYS = ("com.apple.quicktime.camera.focal_length.35mm_equivalent",)
"""What iPhones write; it is not known of others that they do."""
FILM_MM = (36.0, 24.0)
USUAL_MM = (5.0, 2000.0)


def stated_focal_px(metadata: Mapping[str, str], image_size: tuple[int, int]) -> float | None:
    """Pixels; None where the file says nothing, or nothing that a lens can have.

    The 35 mm equivalent is the focal length that sees as much along the diagonal of 36 x 24 mm film
    (CIPA DCG-001).
    """
    stated = next((metadata[key] for key in KEYS if key in metadata), "")
    try:
        focal_mm = float(stated)
    except ValueError:
        return None
    if not USUAL_MM[0] <= focal_mm <= USUAL_MM[1]:
        return None
    return focal_mm * hypot(*image_size) / hypot(*FILM_MM)
