"""The safe reader of pickled dictionaries."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.errors import InvalidInput
from model.training.datasets.pickled import read_pickled


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("the pickle ran",)


def test_code_in_a_pickle_raises_and_is_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trap.npz"
    np.savez(path, positions_3d=np.array({"S1": _Trap()}))
    with pytest.raises(InvalidInput, match=r"trap\.npz: .*builtins\.print is not allowed"):
        read_pickled(path, "positions_3d")
    assert "the pickle ran" not in capsys.readouterr().out


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("numpy", [b"numpy.core", b"numpy._core"])
def test_pickles_of_all_protocols_and_numpy_versions_are_read(
    tmp_path: Path, protocol: int, numpy: bytes
) -> None:
    value = np.array({"a": np.arange(3.0), "b": np.float32(2), "c": [1, "x"]})
    np.save(tmp_path / "data.npy", value)
    raw = (tmp_path / "data.npy").read_bytes()
    body = pickle.dumps(value, protocol=protocol)
    if protocol < 4:  # names are not preceded by their length
        body = body.replace(b"numpy.core", numpy)
    path = tmp_path / "old.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", raw[: raw.index(b"\n") + 1] + body)
    content = read_pickled(path, "data")
    np.testing.assert_array_equal(content["a"], np.arange(3.0))
    assert content["b"] == 2
    assert content["c"] == [1, "x"]


def test_other_content_raises(tmp_path: Path) -> None:
    path = tmp_path / "plain.npz"
    np.savez(path, pos=np.zeros(3), text=np.array("x", object))
    with pytest.raises(InvalidInput, match=r"plain\.npz: not a readable npz file"):
        read_pickled(path, "pos")
    with pytest.raises(InvalidInput, match="text must be a dictionary, got str"):
        read_pickled(path, "text")
    with pytest.raises(InvalidInput, match="field positions_3d is missing"):
        read_pickled(path, "positions_3d")
