"""Requests and responses of POST /lift as npz files, for large sequences."""

import io
import json
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model import InvalidInput, TooLarge
from service.errors import NotNpz
from service.settings import MB
from service.wire.keypoints import FIELD
from service.wire.lift import LiftResult, lift_document

MEDIA_TYPE = "application/x-npz"
MAX_MEMBERS = 32
MAX_OPTION_VALUES = 4
"""image_size has two values, other options one."""
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)
_ENTRY = b"PK\x01\x02"


def read_npz(body: bytes, max_bytes: int) -> dict[str, Any]:
    """The arrays of an npz file by name: `keypoints` as an array, the others as JSON values. Raises
    NotNpz, TooLarge if the file unpacks to more than `max_bytes`, and InvalidInput."""
    # reading a directory of a million entries would take minutes
    if body.count(_ENTRY) > MAX_MEMBERS:
        raise TooLarge(f"an npz file must have at most {MAX_MEMBERS} arrays")
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return _members(archive, max_bytes)
    except (*DAMAGED, ValueError) as error:
        raise NotNpz(f"the body is not an npz file: {error}") from error


def _members(archive: zipfile.ZipFile, max_bytes: int) -> dict[str, Any]:
    members = archive.infolist()
    # zipfile never unpacks more than the declared size
    if sum(member.file_size for member in members) > max_bytes:
        raise TooLarge(f"the arrays must be at most {max_bytes / MB:g} MB; send less at a time")
    if not all(member.compress_type in COMPRESSIONS for member in members):
        raise NotNpz(
            "the body is not an npz file: numpy stores or deflates, this uses another compression"
        )
    arrays: dict[str, Any] = {}
    for member in members:
        name = member.filename.removesuffix(".npy")
        array = _array(name, archive.read(member))
        arrays[name] = array if name == FIELD else _plain(name, array)
    return arrays


def _array(name: str, content: bytes) -> NDArray[Any]:
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # numpy parses headers as Python and may raise anything
        raise InvalidInput(f"{name[:80]} must be an array of numbers or text", (name,)) from error
    if not isinstance(array, np.ndarray):
        raise InvalidInput(f"{name[:80]} must be an array", (name,))
    return array


def _plain(name: str, array: NDArray[Any]) -> object:
    if array.size > MAX_OPTION_VALUES:
        raise InvalidInput(
            f"{name[:80]} must be one or two values, got the shape {array.shape}", (name,)
        )
    return array.tolist()


def write_npz(result: LiftResult) -> bytes:
    """A response as an npz file: the fields of the JSON under the same names; `model` is name and
    version, `applied` and `room` are JSON objects, and a joint not seen is NaN in `keypoints`."""
    document, rows = lift_document(result), result.keypoints
    arrays: dict[str, Any] = {name: value for name, value in document.items() if value is not None}
    arrays |= {
        "keypoints": np.where(rows[..., 2:] > 0, rows, np.float32(np.nan)),
        "model": np.array(result.model),
        "applied": json.dumps(document["applied"]),
        "warnings": np.array(document["warnings"], np.str_),
    }
    if "room" in arrays:
        arrays["room"] = json.dumps(arrays["room"])
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()
