"""Human3.6M's four cameras, as published with the data set.

C. Ionescu et al., "Human3.6M: Large Scale Datasets and Predictive Methods for 3D Human Sensing in
Natural Environments", PAMI 2014; the numbers as VideoPose3D lists them, rounded to 1e-8 and 1 um.
World axes: Z up, metres; camera axes: x right, y down, z forward.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Lens:
    """Intrinsics of one camera: px, except the distortion, which applies to rays."""

    name: str
    image_size: tuple[int, int]
    focal: tuple[float, float]
    centre: tuple[float, float]
    radial: tuple[float, float, float]
    tangential: tuple[float, float]

    @property
    def focal_px(self) -> float:
        """The mean of both directions, which differ by 0.2 %."""
        return (self.focal[0] + self.focal[1]) / 2

    def project(self, xyz: Floats) -> Floats:
        """Camera axes (..., 3) m -> (..., 2) px, with Human3.6M's distortion:
        rays * (1 + k . (r^2, r^4, r^6) + p . rays) + p r^2."""
        rays = xyz[..., :2] / xyz[..., 2:]
        square = (rays**2).sum(axis=-1, keepdims=True)
        radial = sum(k * square ** (i + 1) for i, k in enumerate(self.radial))
        tangential = np.array(self.tangential)
        along = (rays * tangential).sum(axis=-1, keepdims=True)
        distorted = rays * (1 + radial + along) + tangential * square
        return distorted * np.array(self.focal) + np.array(self.centre)


LENSES = (
    Lens(
        name="54138969",
        image_size=(1000, 1002),
        focal=(1145.04943848, 1143.78112793),
        centre=(512.54150391, 515.45147705),
        radial=(-0.20709892, 0.24777518, -0.00307515),
        tangential=(-0.00097570, -0.00142447),
    ),
    Lens(
        name="55011271",
        image_size=(1000, 1000),
        focal=(1149.67565918, 1147.59167480),
        centre=(508.84863281, 508.06491089),
        radial=(-0.19421363, 0.24040854, 0.00681998),
        tangential=(-0.00161903, -0.00274089),
    ),
    Lens(
        name="58860488",
        image_size=(1000, 1000),
        focal=(1149.14074707, 1148.79895020),
        centre=(519.81585693, 501.40264893),
        radial=(-0.20833819, 0.25548801, -0.00246050),
        tangential=(0.00148439, -0.00076000),
    ),
    Lens(
        name="60457274",
        image_size=(1000, 1002),
        focal=(1145.51135254, 1144.77392578),
        centre=(514.96820068, 501.88201904),
        radial=(-0.19838409, 0.21832368, -0.00894781),
        tangential=(-0.00058721, -0.00181336),
    ),
)

# Per subject and camera: the rotation from camera to world as a quaternion w, x, y, z; then where
# the camera stands, in mm.
_PLACES: Mapping[str, tuple[tuple[float, ...], ...]] = {
    "S1": (
        (0.14070565, -0.15007018, -0.75524080, 0.62232804, 1841.107, 4955.285, 1563.445),
        (0.61571878, -0.76483631, -0.14833826, 0.11794741, 1761.279, -5078.007, 1606.265),
        (0.14651473, -0.14647852, 0.76530236, -0.60941756, -1846.778, 5215.046, 1491.972),
        (0.58340085, -0.78531623, 0.14548823, -0.14749594, -1794.790, -3722.699, 1574.893),
    ),
    "S5": (
        (0.14673772, -0.16237096, -0.75518930, 0.61789387, 2097.392, 4880.945, 1605.732),
        (0.61597586, -0.76267922, -0.15728192, 0.11898150, 2031.701, -5167.933, 1612.923),
        (0.14291371, -0.12907842, 0.76783848, -0.61101431, -1620.595, 5171.659, 1496.437),
        (0.59204799, -0.78142178, 0.12747486, -0.15036418, -1637.174, -3867.317, 1547.033),
    ),
    "S6": (
        (0.13378978, -0.15692396, -0.75710905, 0.61988795, 1935.452, 4950.246, 1618.084),
        (0.61471975, -0.76288128, -0.16174768, 0.11819245, 1969.804, -5128.739, 1632.779),
        (0.15299481, -0.13529131, 0.76460963, -0.61127812, -1769.596, 5185.361, 1476.993),
        (0.59161013, -0.78047740, 0.12832271, -0.15615939, -1721.669, -3884.131, 1540.488),
    ),
    "S7": (
        (0.14352418, -0.16313368, -0.75483286, 0.61888248, 1974.513, 4926.354, 1597.833),
        (0.61416727, -0.76382625, -0.15966456, 0.11779299, 1937.058, -5119.790, 1631.567),
        (0.14550060, -0.12874816, 0.76605165, -0.61271393, -1741.811, 5208.250, 1464.825),
        (0.59128481, -0.78217643, 0.12445474, -0.15196487, -1734.711, -3832.421, 1548.583),
    ),
    "S8": (
        (0.14110588, -0.15589868, -0.75619173, 0.61964405, 2150.652, 4896.161, 1611.905),
        (0.61696017, -0.76476681, -0.14846350, 0.11158158, 2219.966, -5148.453, 1613.044),
        (0.14714441, -0.13377120, 0.76701283, -0.61003697, -1571.222, 5137.019, 1498.176),
        (0.59278244, -0.78258705, 0.12147816, -0.14631996, -1476.913, -3896.741, 1547.972),
    ),
    "S9": (
        (0.15540588, -0.15548216, -0.75320953, 0.61995947, 2044.458, 4935.117, 1481.228),
        (0.61878449, -0.76347351, -0.14132239, 0.11933968, 1990.960, -5123.811, 1568.805),
        (0.13357827, -0.13671005, 0.76894546, -0.61007386, -1670.992, 5211.986, 1528.388),
        (0.58793992, -0.78234071, 0.14276144, -0.14794870, -1696.043, -3827.100, 1591.413),
    ),
    "S11": (
        (0.15232472, -0.15442321, -0.75475633, 0.61910701, 2098.440, 4926.555, 1500.278),
        (0.61894494, -0.76009172, -0.15300633, 0.12552583, 2083.182, -4912.173, 1561.079),
        (0.14943229, -0.15650228, 0.76812339, -0.60263044, -1609.815, 5177.336, 1537.897),
        (0.58942515, -0.78188771, 0.13991211, -0.14715362, -1590.738, -3854.169, 1578.018),
    ),
}

SUBJECTS = tuple(_PLACES)


def to_camera(xyz: Floats, subject: str, camera: int) -> Floats:
    """World (T, J, 3) m -> axes of a camera (0..3); its pose depends on the subject."""
    w, x, y, z, *position_mm = _PLACES[subject][camera]
    moved = (xyz - np.array(position_mm) / 1000).reshape(-1, 3)
    return Rotation.from_quat([x, y, z, w]).inv().apply(moved).reshape(xyz.shape)
