"""POST /lift bodies: any body is lifted, or rejected with the location of the error."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import SMOOTHINGS, SPACES, InvalidInput, Lifter, lift_keypoints
from service.wire.documents import dump
from service.wire.lift import LiftBody, LiftResult, lift_document, lift_result, read_lift

KEYPOINTS = [[[float(j), 2.0 * j, 0.5] for j in range(17)]] * 2
VALID: dict[str, Any] = {
    "keypoints": KEYPOINTS,
    "skeleton": "coco17",
    "image_size": [1280, 720],
    "fps": 50,
    "model": None,
    "readout": "centre",
    "flip": False,
    "smoothing": "none",
    "focal_px": None,
    "height_m": None,
    "space": "root",
    "constant_limbs": False,
    "stream": None,
    "first_frame": None,
    "lookahead": None,
}
odd = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)),
        *(st.integers(-(2**63), 2**64 - 1), st.text(max_size=5)),
        st.sampled_from([0, 1, 2, 1000, 65536, 65537, 1920.0, "centre", "dense", "h36m17", "none"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


def is_number(value: Any, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= value <= high


def is_side(value: Any) -> bool:
    return is_number(value, 1, 65536) and value == int(value)


def faulty(body: dict[str, Any]) -> set[str]:
    """The fields that violate the contract."""
    size = body.get("image_size")
    allowed = {
        "skeleton": body.get("skeleton") in ("h36m17", "coco17"),
        "image_size": type(size) is list and len(size) == 2 and all(map(is_side, size)),
        "fps": is_number(body.get("fps"), 5e-324, 1000),
        "model": body.get("model") is None or type(body["model"]) is str,
        "readout": body.get("readout", "centre") in ("centre", "dense"),
        "flip": type(body.get("flip", False)) is bool,
        "constant_limbs": type(body.get("constant_limbs", False)) is bool,
        "focal_px": body.get("focal_px") is None or is_number(body["focal_px"], 1, 1e7),
        "height_m": body.get("height_m") is None or is_number(body["height_m"], 0.3, 3.0),
    }
    smoothing = body.get("smoothing", "none")
    stream, space = body.get("stream"), body.get("space", "root")
    allowed["space"] = space == "root" or (space in ("camera", "world") and stream is None)
    allowed["smoothing"] = smoothing == "none" or (smoothing == "gaussian" and stream is None)
    allowed["constant_limbs"] &= stream is None or not body.get("constant_limbs", False)
    allowed["stream"] = stream is None or bool(
        type(stream) is str and re.fullmatch("[A-Za-z0-9._-]{1,64}", stream)
    )
    for name in ("first_frame", "lookahead"):
        value = body.get(name)
        whole = is_number(value, 0, 2**53) and value == int(value)
        allowed[name] = value is None or (whole and stream is not None)
    unknown = body.keys() - allowed.keys() - {"keypoints"}
    return unknown | {name for name, good in allowed.items() if not good}


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from([*VALID, ""]), odd, max_size=2), st.data())
def test_bodies_are_accepted_or_rejected_by_the_contract(
    changes: dict[str, Any], data: st.DataObject
) -> None:
    changes.pop("keypoints", None)
    body = VALID | changes
    if missing := data.draw(st.sampled_from([None, *VALID])):
        body.pop(missing)
    expected = faulty(body) | ({"keypoints"} if "keypoints" not in body else set())
    try:
        read_lift(orjson.dumps(body), 100)
    except InvalidInput as error:
        named = {fault.where[0] for fault in getattr(error, "faults", ())}
        named |= set(error.where[:1])
        assert named
        assert named <= expected
    else:
        assert not expected


@settings(max_examples=300)
@given(st.binary(max_size=200) | odd.map(orjson.dumps))
def test_arbitrary_bytes_are_rejected(content: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_lift(content, 100)


@pytest.fixture(scope="module")
def lifter(weights_file: Path) -> Lifter:
    return Lifter.load(weights_file)


def lifted(lifter: Lifter, body: dict[str, Any]) -> LiftResult:
    request = read_lift(orjson.dumps(body), 100)
    return lift_result(lift_keypoints(request.sequence, lifter, request.options))


extreme = st.sampled_from([-1e6, -1.0, 0.0, 5e-324, 0.5, 1.0, 639.5, 1e6])
rows = st.none() | st.lists(extreme, min_size=2, max_size=2) | st.just([1e6, 1e6, 5e-324])


@settings(max_examples=60)
@given(
    frames=st.lists(st.lists(rows, min_size=17, max_size=17) | st.none(), min_size=1, max_size=3),
    fps=st.sampled_from([1e-9, 1, 12.0, 12.5, 50, 1000]),
    size=st.sampled_from([[1, 1], [65536, 1], [1280, 720]]),
    smoothing=st.sampled_from(SMOOTHINGS),
    focal_px=st.sampled_from([None, 1, 1e7]),
    readout=st.sampled_from(["centre", "dense"]),
    flip=st.booleans(),
    space=st.sampled_from(SPACES),
)
def test_accepted_bodies_give_finite_poses(lifter: Lifter, **fields: Any) -> None:
    body = {
        "keypoints": fields.pop("frames"),
        "skeleton": "h36m17",
        "image_size": fields.pop("size"),
        **fields,
    }
    document = orjson.loads(dump(lift_document(lifted(lifter, body))))
    poses = np.array(document["poses"], np.float64)
    assert poses.shape == (len(body["keypoints"]), 17, 3)
    assert np.isfinite(poses).all()


def test_lift_body_has_the_fields_of_the_contract() -> None:
    assert set(VALID) == set(LiftBody.model_fields)


def test_lowest_frame_rate_can_be_smoothed(lifter: Lifter) -> None:
    body = VALID | {"fps": 5e-324, "smoothing": "gaussian"}
    lifted(lifter, body)


def test_joints_at_the_coordinate_limit_can_be_converted(lifter: Lifter) -> None:
    """The head is extrapolated from the ears, here beyond the limit."""
    corners = [[[1e6, 1e6], [-1e6, -1e6]][joint > 4] for joint in range(17)]
    lifted(lifter, VALID | {"keypoints": [corners]})
