"""The README's requests get the responses that it shows."""

import json
import re
import tomllib

import httpx
import pytest

import doc_pages as pages
from paths import ROOT

README = (ROOT / "README.md").read_text()
EXCHANGE = re.compile(r"```sh\n(curl [^`]*)\n```\n\n```json\n([^`]*)\n```")
CUT = "..."
"""Stands in a response for the rest of a list or object."""


def parsed(shown: str) -> object:
    in_objects = re.sub(r"\.\.\.(?=\s*\})", f'"{CUT}": 0', shown)
    return json.loads(re.sub(r"\.\.\.(?=\s*\])", f'"{CUT}"', in_objects))


def fits(shown: object, real: object) -> bool:
    """Equal but for fractions, which depend on weights and processor, and for what is cut."""
    if isinstance(shown, dict) and isinstance(real, dict):
        kept = shown.keys() - {CUT}
        complete = kept < real.keys() if CUT in shown else kept == real.keys()
        return complete and all(fits(shown[key], real[key]) for key in kept)
    if isinstance(shown, list) and isinstance(real, list):
        cut = CUT in shown
        kept = shown[:-1] if cut else shown
        complete = len(real) > len(kept) if cut else len(real) == len(kept)
        return complete and all(fits(s, r) for s, r in zip(kept, real, strict=False))
    return type(shown) is type(real) and (isinstance(shown, float) or shown == real)


@pytest.mark.parametrize(("command", "shown"), EXCHANGE.findall(README))
def test_response_fits_what_is_shown(
    server: httpx.Client, monkeypatch: pytest.MonkeyPatch, command: str, shown: str
) -> None:
    monkeypatch.chdir(ROOT)
    (words,) = pages.commands(command)
    response = pages.send(server, words)
    assert response.status_code == 200, response.text
    assert fits(parsed(shown), response.json()), response.text[:2000]


def test_two_exchanges_are_shown() -> None:
    assert len(EXCHANGE.findall(README)) == 2


def test_pinned_detector_is_named() -> None:
    pinned = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["detector"]
    assert f"pip install --no-deps {pinned[0]}" in README


def test_fits_tells_cut_and_different_responses() -> None:
    assert fits(parsed('{"a": [1, 2, ...]}'), {"a": [1, 2, 3]})
    assert fits(parsed('{"a": 1, ...\n}'), {"a": 1, "b": 2})
    assert fits([0.5, "x", None], [0.7, "x", None])
    assert not fits(parsed("[1, 2, ...]"), [1, 2])
    assert not fits(parsed('{"a": 1, ...}'), {"a": 1})
    assert not fits([1, 2], [1, 2, 3])
    assert not fits({"a": 1}, {"a": 1, "b": 2})
    assert not fits([0.5], [None])
