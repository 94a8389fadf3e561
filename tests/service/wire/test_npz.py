"""POST /lift with npz files: equal to JSON, and bad files rejected."""

import io
import zipfile
from contextlib import suppress
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import COCO17, InvalidInput, TooLarge
from servers import ServerStarter
from service.errors import NotNpz
from service.wire.npz import MEDIA_TYPE, read_npz
from synthetic import person

HEADERS = {"content-type": MEDIA_TYPE, "accept": MEDIA_TYPE}
SEQUENCE = person(30, 1, COCO17)
PROBLEM = "application/problem+json"


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def fields(**changes: Any) -> dict[str, Any]:
    seen = SEQUENCE.confidence[..., None] > 0
    valid = {
        "keypoints": np.where(seen, SEQUENCE.rows, np.nan),
        "skeleton": "coco17",
        "image_size": np.array([1920, 1080]),
        "fps": 30,
    }
    return valid | changes


def as_json(fields: dict[str, Any]) -> dict[str, Any]:
    """The same body as JSON."""
    rows = [
        [None if np.isnan(row).any() else row for row in frame]
        for frame in fields["keypoints"].tolist()
    ]
    others = {name: np.asarray(value).tolist() for name, value in fields.items()}
    return others | {"keypoints": rows}


def test_npz_request_and_response_equal_json(server: httpx.Client) -> None:
    body = fields(flip=True, height_m=1.9, smoothing="gaussian")
    response = server.post("/lift", content=npz(**body), headers=HEADERS)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    expected = server.post("/lift", json=as_json(body)).json()
    with np.load(io.BytesIO(response.content), allow_pickle=False) as arrays:
        np.testing.assert_allclose(arrays["poses"], np.float32(expected["poses"]), atol=1e-5)
        np.testing.assert_array_equal(arrays["confidence"], np.float32(expected["confidence"]))
        for name in ("frames", "final", "warnings"):
            assert arrays[name].tolist() == expected[name]
        assert arrays["model"].tolist() == list(expected["model"].values())
        rows = [
            [[None] * 3 if row is None else row for row in frame] for frame in expected["keypoints"]
        ]
        np.testing.assert_array_equal(arrays["keypoints"], np.array(rows, np.float32))


def test_npz_may_be_used_in_one_direction_only(server: httpx.Client) -> None:
    from_arrays = server.post(
        "/lift", content=npz(**fields()), headers={"content-type": MEDIA_TYPE}
    )
    to_arrays = server.post("/lift", json=as_json(fields()), headers={"accept": MEDIA_TYPE})
    poses = np.load(io.BytesIO(to_arrays.content))["poses"]
    np.testing.assert_allclose(poses, np.float32(from_arrays.json()["poses"]), atol=1e-5)


def test_stream_of_npz_requests(server: httpx.Client) -> None:
    body = fields(stream="arrays")
    first = server.post("/lift", content=npz(**body), headers=HEADERS)
    rest = server.delete("/streams/arrays", headers={"accept": MEDIA_TYPE})
    parts = [np.load(io.BytesIO(part.content)) for part in (first, rest)]
    assert int(parts[0]["delay_frames"]) == 13
    assert np.concatenate([part["frames"] for part in parts]).tolist() == list(range(30))


def put(place: tuple[int, ...], value: float) -> np.ndarray:
    rows = np.nan_to_num(fields()["keypoints"].astype(np.float64))
    rows[place] = value
    return rows


BAD_VALUES: dict[str, tuple[dict[str, Any], list[str | int]]] = {
    "flat": ({"keypoints": np.zeros((17, 3))}, ["keypoints"]),
    "other joints": ({"keypoints": np.zeros((4, 16, 3))}, ["keypoints"]),
    "no frames": ({"keypoints": np.zeros((0, 17, 3))}, ["keypoints"]),
    "four columns": ({"keypoints": np.zeros((4, 17, 4))}, ["keypoints"]),
    "text": ({"keypoints": np.full((4, 17, 3), "1")}, ["keypoints"]),
    "complex": ({"keypoints": np.zeros((4, 17, 3), complex)}, ["keypoints"]),
    "booleans": ({"keypoints": np.ones((4, 17, 3), bool)}, ["keypoints"]),
    "objects": ({"keypoints": np.array([None])}, ["keypoints"]),
    "infinite": ({"keypoints": put((2, 3, 0), np.inf)}, ["keypoints", 2, 3, 0]),
    "far away": ({"keypoints": put((2, 3, 1), 1e300)}, ["keypoints", 2, 3, 1]),
    "score": ({"keypoints": put((2, 3, 2), 1.5)}, ["keypoints", 2, 3, 2]),
    "bytes": ({"skeleton": b"coco17"}, ["skeleton"]),
    "long option": ({"image_size": np.zeros(100)}, ["image_size"]),
    "number as flip": ({"flip": 1}, ["flip"]),
    "fps": ({"fps": np.nan}, ["fps"]),
    "unknown": ({"colour": "red"}, ["colour"]),
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_bad_array_is_rejected_with_its_path(server: httpx.Client, name: str) -> None:
    changes, where = BAD_VALUES[name]
    response = server.post("/lift", content=npz(**fields(**changes)), headers=HEADERS)
    assert (response.status_code, response.headers["content-type"]) == (422, PROBLEM)
    assert [error["location"] for error in response.json()["errors"]] == [where]


def member(content: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("keypoints.npy", content)
    return file.getvalue()


def header(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", NotNpz),
        (b'{"fps": 50}', NotNpz),
        (npz(**fields())[:-30], NotNpz),
        (member(b"", zipfile.ZIP_LZMA), NotNpz),
        (member(b""), InvalidInput),
        (member(header("(1000000000000, 17, 3)")), InvalidInput),
        (member(b"\x80\x04N."), InvalidInput),
        (member(npz(a=1)), InvalidInput),
        (member(bytes(20_000_000)), TooLarge),
        (npz(**{f"a{k}": k for k in range(40)}), TooLarge),
    ],
    ids=["empty", "json", "cut", "lzma", "no array", "large", "pickle", "nested", "bomb", "many"],
)
def test_hostile_file_is_rejected(body: bytes, error: type[InvalidInput]) -> None:
    with pytest.raises(error):
        read_npz(body, 10_000_000)


damage = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=4)


def damaged(content: bytes, changes: list[tuple[int, int]], before: int) -> bytes:
    changed = bytearray(content)
    for place, value in changes:
        changed[place % before] = value
    return bytes(changed)


@settings(max_examples=300)
@given(damage, st.booleans())
def test_damaged_file_raises_only_invalid_input(
    changes: list[tuple[int, int]], inside: bool
) -> None:
    """Damage to the archive, and to the header of an array inside it."""
    if inside:
        body = member(damaged(header("(1, 17, 2)") + bytes(136), changes, before=80))
    else:
        whole = npz(fps=30, skeleton="coco17")
        body = damaged(whole, changes, before=len(whole))
    with suppress(InvalidInput):
        read_npz(body, 10_000_000)


def test_size_limit_applies_to_the_unpacked_arrays(start_server: ServerStarter) -> None:
    with start_server(max_body_mb=0.1) as client:
        zeros = npz(**fields(keypoints=np.zeros((3000, 17, 3))))
        assert len(zeros) < 10_000
        response = client.post("/lift", content=zeros, headers=HEADERS)
        assert response.status_code == 413
        assert "0.1 MB" in response.json()["detail"]
