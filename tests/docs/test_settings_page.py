"""docs/settings.md and .env.example say what service/settings.py and docker-compose.yml do. Run
this file to write them anew."""

import re
from collections.abc import Iterator
from textwrap import wrap
from typing import Any

import pytest

from paths import ROOT
from service.settings import Settings

PAGE, EXAMPLE, COMPOSE = (
    ROOT / name for name in ("docs/settings.md", ".env.example", "docker-compose.yml")
)

INTRODUCTION = """\
# Settings

Each is an environment variable, read and checked once, at the start: a value that does not fit is
one line that names it, and no service. `poselift serve --host --port` go before their variables.
This page is made from `service/settings.py`; a test keeps the two equal
(`python tests/test_settings_page.py` writes it anew, and `.env.example` with it).

A unit stands in the variable's name: `_S` seconds, `_H` hours, `_MB` 10^6 bytes, `_MP` 10^6 pixels.

| variable | type | unit | default | limit | what it is |
|---|---|---|---|---|---|
"""

BESIDE = """
One more is no setting of the service alone, because the command line and the library heed it too:
`POSELIFT_CACHE`, the folder of what is downloaded once (a path; `~/.cache/poselift`).

A file `.env` in the current folder is read too, by poselift and `docker compose`
([docker.md](docker.md)); variables of the environment override it.
"""

HEAD = """\
# Copy this file to .env, which poselift and `docker compose` read; remove the # of changed lines.

# What the containers are reached by, and made from.
"""

COMPOSED = {
    "CUDA_IMAGE": "Base of the images gpu and mmpose.",
    "GPUS": "How many the service gpu gets; all of them: all.",
    "GRAFANA_PORT": "Port of the dashboard, on this machine alone.",
    "PIP_CONFIG": "A pip.conf for building the images, where packages come from elsewhere.",
    "PROMETHEUS_PORT": "Port of Prometheus, on this machine alone.",
    "PUBLISHED_ADDRESS": "Address that the services are reached by; 0.0.0.0 lets others in.",
    "PUBLISHED_GPU_PORT": "Port of the service gpu.",
    "PUBLISHED_PORT": "Port of the service poselift.",
    "PYTHON_IMAGE": "Base of the images cpu and train.",
}

SETTINGS_HEAD = """
# Settings of the service; docs/settings.md has their types and limits. Where a container listens
# and keeps its jobs, docker-compose.yml says: HOST, PORT and JOBS_FOLDER here do not change that.
"""

UNITS = {"s": "s", "h": "h", "mb": "MB", "mp": "megapixel"}
TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
}

Schema = dict[str, Any]


def settings() -> Iterator[tuple[str, Schema]]:
    """Each setting's variable, and its JSON schema, of which `none` is no part."""
    for name, schema in Settings.model_json_schema()["properties"].items():
        (given,) = [one for one in schema.get("anyOf", [{}]) if one.get("type") != "null"]
        yield f"POSELIFT_{name.upper()}", schema | given


def type_of(schema: Schema) -> str:
    return "path" if schema.get("format") == "path" else TYPES[schema["type"]]


def default_of(variable: str, schema: Schema) -> str:
    """In words where it depends on where the service runs."""
    field = Settings.model_fields[variable.removeprefix("POSELIFT_").lower()]
    if field.default_factory is not None:
        return (field.default_factory.__doc__ or "").strip().removesuffix(".")
    default = schema["default"]
    return "none" if default is None else f"`{shown(default)}`"


def shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, int | float) else str(value)


def limit_of(schema: Schema) -> str:
    if "pattern" in schema:
        return f"`{schema['pattern']}`".replace("|", "\\|")
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    words = {"minimum": "{}", "exclusiveMinimum": "above {}", "maximum": "to {}"}
    return " ".join(text.format(shown(schema[key])) for key, text in words.items() if key in schema)


def page() -> str:
    return INTRODUCTION + "".join(map(row, settings())) + BESIDE


def row(setting: tuple[str, Schema]) -> str:
    variable, schema = setting
    unit = UNITS.get(variable.rpartition("_")[2].lower(), "")
    cells = [f"`{variable}`", type_of(schema), unit, default_of(variable, schema)]
    return f"| {' | '.join([*cells, limit_of(schema), schema['description']])} |\n"


def example() -> str:
    return "".join([HEAD, *map(composed, compose_variables().items()), SETTINGS_HEAD, *variables()])


def compose_variables() -> dict[str, str]:
    """What docker-compose.yml takes from .env beside settings, with its defaults."""
    found = dict(sorted(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE.read_text())))
    return {name: default for name, default in found.items() if not name.startswith("POSELIFT_")}


def composed(variable: tuple[str, str]) -> str:
    name, default = variable
    return f"# {COMPOSED[name]}\n#{name}={default}\n"


def variables() -> Iterator[str]:
    for variable, schema in settings():
        default = default_of(variable, schema)
        value = default.strip("`") if default.startswith("`") else ""
        told = schema["description"] + ("" if value or default == "none" else f" Unset: {default}.")
        yield "".join(f"# {line}\n" for line in wrap(told, 97)) + f"#{variable}={value}\n"


def test_the_page_is_the_code() -> None:
    assert PAGE.read_text() == page(), "run: python tests/test_settings_page.py"


def test_the_example_is_the_code() -> None:
    assert EXAMPLE.read_text() == example(), "run: python tests/test_settings_page.py"


def test_the_example_sets_what_is_set_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line of it, without its #, is a value that the service takes, and its default."""
    lines = [line[1:] for line in EXAMPLE.read_text().splitlines() if line.startswith("#POSELIFT_")]
    for name, value in (line.split("=", 1) for line in lines):
        if value:
            monkeypatch.setenv(name, value)
    taken = Settings()
    monkeypatch.undo()
    assert taken == Settings()


def test_limits_in_words() -> None:
    assert limit_of({"minimum": 0, "maximum": 1e6}) == "0 to 1000000"
    assert limit_of({"exclusiveMinimum": 0, "maximum": 0.5}) == "above 0 to 0.5"
    assert limit_of({"pattern": "^(a|b)$"}) == "`^(a\\|b)$`"


if __name__ == "__main__":
    PAGE.write_text(page())
    EXAMPLE.write_text(example())
