"""What the README shows is what happens: its commands, its requests and their replies.

With the address of a running service (python tests/test_readme.py http://127.0.0.1:8000) this file
asks the README's requests and writes their replies into it.
"""

import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from paths import ROOT
from service.cli import main

README = (ROOT / "README.md").read_text()
EXCHANGE = re.compile(r"```sh\n(curl .*?)\n```\n\n```json\n(.*?)\n```", re.DOTALL)
CUT = "..."
"""Stands in a reply for the rest of a list."""


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [*lines, *re.findall(r"`([^`\n]+)`", README)]


def ask(client: httpx.Client, command: str) -> httpx.Response:
    """Send what a curl line of the README sends."""
    words = iter(shlex.split(command)[1:])
    headers, content, files, path = {}, None, None, ""
    for word in words:
        if word == "-F":
            field, _, name = next(words).partition("=@")
            files = {field: (ROOT / name).read_bytes()}
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            content = next(words)
        else:
            assert word.startswith("http://127.0.0.1:8000/"), word
            path = urlsplit(word).path
    return client.post(path, headers=headers, content=content, files=files)


def fits(shown: object, real: object) -> bool:
    """Equal but for fractions, which depend on weights and processor, and for what is cut."""
    if isinstance(shown, dict) and isinstance(real, dict):
        return shown.keys() == real.keys() and all(fits(shown[key], real[key]) for key in shown)
    if isinstance(shown, list) and isinstance(real, list):
        cut = CUT in shown
        kept = shown[:-1] if cut else shown
        long_enough = len(real) > len(kept) if cut else len(real) == len(kept)
        return long_enough and all(fits(s, r) for s, r in zip(kept, real, strict=False))
    return type(shown) is type(real) and (isinstance(shown, float) or shown == real)


def parsed(shown: str) -> object:
    return json.loads(shown.replace(CUT, f'"{CUT}"'))


@pytest.mark.parametrize(("command", "shown"), EXCHANGE.findall(README))
def test_the_reply_is_real(server: httpx.Client, command: str, shown: str) -> None:
    response = ask(server, command)
    assert response.status_code == 200, response.text
    assert fits(parsed(shown), response.json()), response.text[:2000]


def test_there_are_requests() -> None:
    assert len(EXCHANGE.findall(README)) == README.count("curl ") > 0


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {line.split()[1] for line in commands() if line.startswith("make ")}
    assert {"run", "test"} <= named <= targets


def test_subcommands_and_options_exist(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for line in commands() if re.search(r"\bposelift [a-z]", line)]
    assert lines
    for line in lines:
        command, *rest = line.split("poselift ")[1].split()
        with pytest.raises(SystemExit, match="^0$"):
            main([command, "--help"])
        told = capsys.readouterr().out
        assert [word for word in rest if word.startswith("-") and word not in told] == []


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert [name for name in links if not (ROOT / name).exists()] == []


def test_the_detector_is_the_pinned_one() -> None:
    pinned = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["detector"]
    assert f"pip install --no-deps {pinned[0]}" in README


def test_fits() -> None:
    assert fits(parsed('{"a": [1, 2, ...]}'), {"a": [1, 2, 3]})
    assert fits([0.5, "x", None], [0.7, "x", None])
    assert not fits(parsed("[1, 2, ...]"), [1, 2])
    assert not fits([1, 2], [1, 2, 3])
    assert not fits({"a": 1}, {"a": 1, "b": 2})
    assert not fits([0.5], [None])


def shortened(value: object) -> object:
    """A reply with its long lists cut."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    nested = bool(value) and isinstance(value[0], list)
    longest = 3 if not nested else 1 if isinstance(value[0][0], list) else 2
    kept = [shortened(item) for item in value[:longest]]
    return kept if len(kept) == len(value) else [*kept, CUT]


def written(value: object, indent: str = "") -> Iterator[str]:
    """JSON that opens only what does not fit on a line."""
    line = json.dumps(value).replace(f'"{CUT}"', CUT)
    if len(indent + line) <= 96 or not isinstance(value, dict | list):
        yield indent + line
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    named = value.items() if isinstance(value, dict) else (("", item) for item in value)
    items = []
    for name, item in named:
        first, *rest = written(item, indent + "  ")
        key = f'"{name}": ' if name else ""
        items.append("\n".join([f"{indent}  {key}{first.strip()}", *rest]))
    yield f"{indent}{opening}"
    yield ",\n".join(items)
    yield f"{indent}{closing}"


def write_replies(url: str) -> None:
    def anew(exchange: re.Match[str]) -> str:
        reply = ask(client, exchange[1]).raise_for_status().json()
        shown = "\n".join(written(shortened(reply)))
        return f"```sh\n{exchange[1]}\n```\n\n```json\n{shown}\n```"

    with httpx.Client(base_url=url, timeout=300) as client:
        (ROOT / "README.md").write_text(EXCHANGE.sub(anew, README))


if __name__ == "__main__":
    write_replies(sys.argv[1])
