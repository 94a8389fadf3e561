"""Writes docs/settings.md, .env.example and docs/joint-sets.md: `python docs/generate.py`."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from model import H36M17, SKELETONS, Skeleton
from model.keypoints.skeleton import Recipe
from service.settings import DEPRECATED, Settings

ROOT = Path(__file__).parents[1]

SETTINGS_HEAD = """\
# Settings

Each setting is an environment variable, read and checked once at start. A bad value stops the
service with one line that names it. `poselift serve --host --port` override their variables.
This page is generated from `service/settings.py` by `python docs/generate.py`; a test compares
them.

The suffix of a variable is its unit: `_S` seconds, `_H` hours, `_MB` 10^6 bytes, `_MP` 10^6 pixels.

| variable | type | unit | default | limit | description |
|---|---|---|---|---|---|
"""
SETTINGS_TAIL = """
Deprecated names, accepted for one release: {deprecated}. Setting both names is an error.

`POSELIFT_CACHE`, the folder of downloaded files (a path; `~/.cache/poselift`), also applies to the
command line and the library.

poselift and `docker compose` ([docker.md](docker.md)) also read a file `.env` in the current
folder; variables of the environment override it.
"""

ENV_HEAD = """\
# Copy this file to .env, which poselift and `docker compose` read; uncomment the lines to change.

# Ports, addresses and base images of the containers.
"""
COMPOSE_VARIABLES = {
    "CUDA_IMAGE": "Base of the images gpu and mmpose.",
    "GPUS": "Number of GPUs of the service gpu; all: every GPU.",
    "GRAFANA_PORT": "Port of the dashboard, on this machine only.",
    "PIP_CONFIG": "A pip.conf for building the images, to use another package index.",
    "PROMETHEUS_PORT": "Port of Prometheus, on this machine only.",
    "PUBLISHED_ADDRESS": "Address of the services; 0.0.0.0 admits other machines.",
    "PUBLISHED_GPU_PORT": "Port of the service gpu.",
    "PUBLISHED_PORT": "Port of the service poselift.",
    "PYTHON_IMAGE": "Base of the images cpu and train.",
}
ENV_SETTINGS_HEAD = """
# Settings of the service; docs/settings.md has their types and limits. HOST, PORT and JOBS_FOLDER
# have no effect on containers: docker-compose.yml sets them.
"""

UNITS = {"s": "s", "h": "h", "mb": "MB", "mp": "megapixel"}
TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
}

JOINTS_HEAD = """\
# Joint sets

The lifter takes and returns the 17 joints of Human3.6M. Keypoints of another set are converted
first by `to_h36m17`, which training uses too. This page is generated from `model/keypoints` by
`python docs/generate.py`; a test compares them.

Left and right are the person's own. Hip (the pelvis), spine, thorax, neck/nose and head are missing
in most sets and are computed by the formulas below: `mid` is the midpoint of left and right, a
number is a weight, and the weights sum to 1. If a joint has several formulas, the first one whose
keypoints are all seen (score above 0) is used. The score of a computed joint is the lowest of its
keypoints' scores; a joint that cannot be computed is not seen. Every other joint of H36M-17 is the
keypoint of the same name.

Source of the weights: in the motion capture of the training data the spine is at 0.42 and the
thorax at 0.886 of the way from the middle of the hips to the middle of the shoulders, the base of
the skull just below the ears, and the end of the head bone above them. In a set without ears the
top of the head is used, at 1.8 times the distance from the shoulders to the ears.
"""

Schema = dict[str, Any]


def settings() -> Iterator[tuple[str, Schema]]:
    """The variable and the JSON schema of each setting, without the schema of null."""
    for name, schema in Settings.model_json_schema()["properties"].items():
        (inner,) = [s for s in schema.get("anyOf", [{}]) if s.get("type") != "null"]
        yield f"POSELIFT_{name.upper()}", schema | inner


def type_of(schema: Schema) -> str:
    return "path" if schema.get("format") == "path" else TYPES[schema["type"]]


def default_of(variable: str, schema: Schema) -> str:
    """The value, or words if it depends on the machine."""
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
        return ", ".join(f"`{value}`" for value in schema["enum"])
    words = {"minimum": "{}", "exclusiveMinimum": "above {}", "maximum": "to {}"}
    return " ".join(text.format(shown(schema[key])) for key, text in words.items() if key in schema)


def settings_page() -> str:
    deprecated = ", ".join(f"`{old}` (now `{new}`)" for old, new in DEPRECATED.items())
    return (
        SETTINGS_HEAD + "".join(map(row, settings())) + SETTINGS_TAIL.format(deprecated=deprecated)
    )


def row(setting: tuple[str, Schema]) -> str:
    variable, schema = setting
    unit = UNITS.get(variable.rpartition("_")[2].lower(), "")
    cells = [f"`{variable}`", type_of(schema), unit, default_of(variable, schema)]
    return f"| {' | '.join([*cells, limit_of(schema), schema['description']])} |\n"


def env_example() -> str:
    compose = map(compose_line, compose_variables().items())
    return "".join([ENV_HEAD, *compose, ENV_SETTINGS_HEAD, *setting_lines()])


def compose_variables() -> dict[str, str]:
    """Variables and defaults of docker-compose.yml that are no settings."""
    text = (ROOT / "docker-compose.yml").read_text()
    variables = dict(sorted(re.findall(r"\$\{(\w+):-([^}]*)\}", text)))
    return {
        name: default for name, default in variables.items() if not name.startswith("POSELIFT_")
    }


def compose_line(variable: tuple[str, str]) -> str:
    name, default = variable
    return f"# {COMPOSE_VARIABLES[name]}\n#{name}={default}\n"


def setting_lines() -> Iterator[str]:
    for variable, schema in settings():
        default = default_of(variable, schema)
        value = default.strip("`") if default.startswith("`") else ""
        text = schema["description"] + ("" if value or default == "none" else f" Unset: {default}.")
        yield "".join(f"# {line}\n" for line in wrap(text, 97)) + f"#{variable}={value}\n"


def joint_sets_page() -> str:
    others = [skeleton for skeleton in SKELETONS.values() if skeleton is not H36M17]
    lines = (line for skeleton in others for line in joint_set(skeleton))
    return "\n".join([JOINTS_HEAD, *formulas(others), *h36m17(), *lines])


def formulas(skeletons: Sequence[Skeleton]) -> Iterator[str]:
    """One table for all sets, in which sets with the same formulas share a row."""
    yield "## Formulas\n"
    yield "| H36M-17 | sets | from |\n|---|---|---|"
    for index, target in enumerate(H36M17.joints):
        sets: dict[str, list[str]] = {}
        for skeleton in skeletons:
            text = "<br>else ".join(formula(recipe) for recipe in skeleton.h36m17[target])
            sets.setdefault(text, []).append(skeleton.name)
        for text, names in sets.items():
            if text != target:
                yield f"| {index} {target} | {', '.join(names)} | {text} |"
    yield ""


def h36m17() -> Iterator[str]:
    yield "## h36m17\n"
    yield "| index | joint | parent | mirrored |\n|---|---|---|---|"
    for index, name in enumerate(H36M17.joints):
        yield f"| {index} | {name} | {parent_of(H36M17, index)} | {H36M17.mirror[index]} |"
    yield ""


def joint_set(skeleton: Skeleton) -> Iterator[str]:
    yield f"## {skeleton.name}\n"
    yield "| index | joint | parent |\n|---|---|---|"
    for index, name in enumerate(skeleton.joints):
        yield f"| {index} | {name} | {parent_of(skeleton, index)} |"
    yield ""


def parent_of(skeleton: Skeleton, index: int) -> str:
    parent = skeleton.parents[index]
    return "" if parent < 0 else f"{parent} {skeleton.joints[parent]}"


def formula(recipe: Recipe) -> str:
    """A weighted sum; a left and a right joint of equal weight become their midpoint."""
    terms: list[tuple[float, str]] = []
    for joint, weight in recipe.items():
        side, _, bare = joint.partition("_")
        other = recipe.get({"left": "right_", "right": "left_"}.get(side, "?") + bare)
        if other != weight:
            terms.append((weight, joint))
        elif side == "left":
            terms.append((2 * weight, f"mid {bare}"))
    shown = " + ".join(joint if w == 1 else f"{round(w, 3):g} {joint}" for w, joint in terms)
    return shown.replace("+ -", "- ")


PAGES = {
    "docs/settings.md": settings_page,
    ".env.example": env_example,
    "docs/joint-sets.md": joint_sets_page,
}

if __name__ == "__main__":
    for name, text in PAGES.items():
        (ROOT / name).write_text(text())
