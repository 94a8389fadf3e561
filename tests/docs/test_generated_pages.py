"""The generated pages docs/settings.md, .env.example and docs/joint-sets.md equal the code."""

from runpy import run_path
from typing import Any

import pytest

from paths import ROOT
from service.settings import Settings

GENERATOR: dict[str, Any] = run_path(str(ROOT / "docs" / "generate.py"))


@pytest.mark.parametrize("name", GENERATOR["PAGES"])
def test_page_equals_the_code(name: str) -> None:
    assert (ROOT / name).read_text() == GENERATOR["PAGES"][name](), "run: python docs/generate.py"


def test_values_of_the_env_example_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / ".env.example").read_text()
    lines = [line[1:] for line in text.splitlines() if line.startswith("#POSELIFT_")]
    for name, value in (line.split("=", 1) for line in lines):
        if value:
            monkeypatch.setenv(name, value)
    settings = Settings()
    monkeypatch.undo()
    assert settings == Settings()


def test_limits_in_words() -> None:
    limit_of = GENERATOR["limit_of"]
    assert limit_of({"minimum": 0, "maximum": 1e6}) == "0 to 1000000"
    assert limit_of({"exclusiveMinimum": 0, "maximum": 0.5}) == "above 0 to 0.5"
    assert limit_of({"pattern": "^(a|b)$"}) == "`^(a\\|b)$`"


def test_formulas() -> None:
    formula = GENERATOR["formula"]
    assert formula({"left_hip": 0.5, "right_hip": 0.5}) == "mid hip"
    assert formula({"left_ear": 1.0}) == "left_ear"
    trunk = {"hip": 0.58, "left_shoulder": 0.21, "right_shoulder": 0.21}
    assert formula(trunk) == "0.58 hip + 0.42 mid shoulder"
    assert formula({"nose": 1.45, "neck": -0.45}) == "1.45 nose - 0.45 neck"
