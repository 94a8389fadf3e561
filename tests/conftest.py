"""Fixtures that several tests share."""

from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(__file__).resolve().parent / "data"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def recordings_file() -> Path:
    """A few seconds of real motion capture of two people, in the project's own layout."""
    return DATA / "recordings.npz"


@pytest.fixture(scope="session")
def weights_file() -> Path:
    """The weights that ship."""
    return ROOT / "weights" / "poseformer-27.onnx"
