"""A safe reader for dictionaries of arrays that are pickled in npz files.

NumPy pickles dictionaries, and a pickle can execute arbitrary code. This reader only allows the
types that arrays consist of.
"""

import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from model.errors import InvalidInput

_NUMPY: Any = np.core
_NPY: Any = np.lib.format


def read_pickled(path: Path, key: str) -> Mapping[str, Any]:
    """The dictionary stored in an npz under `key`. Raises InvalidInput naming the file and the
    fault."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as file:
            value = _object(file)
    except KeyError as error:
        raise InvalidInput(f"{path}: field {key} is missing") from error
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInput(f"{path}: not a readable npz file ({error})") from error
    except (pickle.UnpicklingError, AttributeError, ImportError, IndexError, TypeError) as error:
        raise InvalidInput(f"{path}: {key} cannot be read safely ({error})") from error
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{path}: {key} must be a dictionary, got {type(value).__name__}")
    return value


class _ArraysOnly(pickle.Unpickler):
    """NumPy 1 and 2 have the same functions in modules of different names, so only the last part of
    the name is compared."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("multiarray", "_reconstruct"): _NUMPY.multiarray._reconstruct,
            ("multiarray", "scalar"): _NUMPY.multiarray.scalar,
            ("numeric", "_frombuffer"): _NUMPY.numeric._frombuffer,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _latin1,
        }
        key = module.rpartition(".")[2], name
        if key not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return allowed[key]


def _latin1(text: str, encoding: str) -> bytes:
    """How Python 2 pickled bytes."""
    return text.encode("latin-1")


def _object(file: IO[bytes]) -> Any:
    """The one object of an npy stream."""
    version = _NPY.read_magic(file)
    read_header = _NPY.read_array_header_1_0 if version == (1, 0) else _NPY.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if not dtype.hasobject or shape != ():
        raise ValueError(f"expected one pickled dictionary, got {dtype} {shape}")
    array = _ArraysOnly(file, encoding="latin1").load()
    return array.item() if isinstance(array, np.ndarray) and array.shape == () else array
