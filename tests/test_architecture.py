"""The rules of docs/architecture.md: who may import whom, and what the tree looks like."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import model
from paths import ROOT

WEB = {"fastapi", "starlette", "uvicorn", "service"}
TORCH = {"torch", "onnxscript"}
HEAVY = {"mediapipe", "cv2", "matplotlib"}

MODEL_LAYERS = (
    *("errors", "files", "keypoints", "runtime", "detectors", "tracking", "lifting", "motion"),
    *("video", "formats", "rendering"),
)
SERVICE_LAYERS = (
    *("errors", "settings", "telemetry", "admission", "wire", "lifting", "jobs", "client", "bench"),
    *("state", "routes", "live", "app", "cli"),
)
"""From the lowest to the highest: a layer imports itself and those before it."""
MOST_ROOMS = 14
"""Files and folders in one folder of code."""

SOURCES = {
    path.relative_to(ROOT): ast.parse(path.read_text())
    for folder in ("model", "service", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def sources(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    return ((path, tree) for path, tree in SOURCES.items() if path.parts[0] in folders)


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of each import below a node; the name is empty for `import module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def top(module: str) -> str:
    return module.partition(".")[0]


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = [
    module_name(path) for path, _ in sources("model", "service") if path.name != "__main__.py"
]
TRAINING = [name for name in MODULES if name.startswith("model.training")]


# Imports in fresh interpreters


@pytest.mark.parametrize(
    ("imported", "unwelcome"),
    [
        (["model"], WEB | TORCH | HEAVY | {"model.training"}),
        (["service.app"], TORCH | HEAVY | {"model.training"}),
        (["model.detectors.rtmpose", "model.detectors.mmpose.detector"], TORCH | WEB | {"mmpose"}),
        (["service.cli"], TORCH | HEAVY | {"model.training"}),
        (
            ["service.jobs.worker"],
            TORCH | HEAVY | {"model.training", "sqlalchemy"} | WEB - {"service"},
        ),
        (TRAINING, WEB),
    ],
    ids=["model", "app", "detectors", "cli", "worker", "training"],
)
def test_fresh_interpreter_loads_no_unwelcome_package(
    imported: list[str], unwelcome: set[str]
) -> None:
    script = f"import sys; import {', '.join(imported)}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert unwelcome & set(done.stdout.split()) == set()


IMPORT_EACH_ALONE = """
import importlib, json, os, sys, traceback, types, warnings

warnings.simplefilter("ignore")
others, modules = json.load(sys.stdin)
for name in others:
    try:
        importlib.import_module(name)
    except ImportError:  # an optional one
        pass


def fails(name):
    if name.startswith("model."):  # without model/__init__.py, which would fix the order
        sys.modules["model"] = package = types.ModuleType("model")
        package.__path__ = ["model"]
    try:
        importlib.import_module(name)
    except BaseException:
        print(name, traceback.format_exc(limit=-3), flush=True)
        return 1
    return 0


def wait():
    global failed
    failed |= os.wait()[1] != 0


failed, running = False, 0
for name in modules:
    if running == (os.cpu_count() or 1):
        wait()
        running -= 1
    if os.fork() == 0:
        os._exit(fails(name))
    running += 1
for _ in range(running):
    wait()
sys.exit(failed)
"""
"""Imports the third-party packages once, then each module in a process forked from there."""


def test_every_module_imports_alone() -> None:
    """Also without model/__init__.py before it, so a circle shows whatever the order."""
    ours = {"model", "service", "tests"}
    others = {
        module
        for _, tree in sources("model", "service")
        for node in tree.body
        for module, _ in imports(node)
        if top(module) not in ours
    }
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH_ALONE],
        cwd=ROOT,
        input=json.dumps([sorted(others), MODULES]),
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


# Who may import whom


@pytest.mark.parametrize(
    ("package", "layers"), [("model", MODEL_LAYERS), ("service", SERVICE_LAYERS)]
)
def test_layers_import_only_lower_layers(package: str, layers: tuple[str, ...]) -> None:
    wrong = []
    for path, tree in sources(package):
        layer = path.with_suffix("").parts[1]
        if layer in ("__init__", "training"):  # they may import every layer
            continue
        for module, _ in imports(tree):
            if top(module) == package:
                used = module.split(".")[1:2]  # none: the whole package
                if not used or layers.index(used[0]) > layers.index(layer):
                    wrong.append(f"{path} imports {module}")
    assert wrong == []


def test_every_layer_is_placed() -> None:
    for package, layers in (("model", (*MODEL_LAYERS, "training")), ("service", SERVICE_LAYERS)):
        here = {path.with_suffix("").parts[1] for path, _ in sources(package)}
        assert here == {*layers, "__init__"}


def test_service_imports_only_public_names_of_model() -> None:
    commands = Path("service/cli/commands.py")
    wrong = [
        f"{path}: {module} {name}"
        for path, tree in sources("service")
        for module, name in imports(tree)
        if top(module) == "model" and not (module == "model" and name in model.__all__)
        if not (path == commands and module.startswith("model.training"))
    ]
    assert wrong == []


def test_command_line_imports_training_only_when_called() -> None:
    tree = SOURCES[Path("service/cli/commands.py")]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    late = {found for function in functions for found in imports(function)}
    training = {found for found in imports(tree) if found[0].startswith("model.training")}
    assert training
    assert training <= late


def test_model_imports_neither_service_nor_web_packages() -> None:
    found = [(str(path), m) for path, tree in sources("model") for m, _ in imports(tree)]
    assert [(path, m) for path, m in found if top(m) in WEB] == []


def test_torch_is_imported_only_under_training() -> None:
    found = [(path, m) for path, tree in sources("model", "service") for m, _ in imports(tree)]
    assert [str(p) for p, m in found if top(m) in TORCH and p.parts[1] != "training"] == []


def test_library_does_not_import_training() -> None:
    found = [(path, m) for path, tree in sources("model") for m, _ in imports(tree)]
    assert [
        str(path)
        for path, m in found
        if m.startswith("model.training") and path.parts[1] != "training"
    ] == []


def test_no_import_is_relative() -> None:
    assert [
        f"{path}:{node.lineno}"
        for path, tree in SOURCES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ] == []


def test_public_names_exist_once() -> None:
    assert [name for name in model.__all__ if not hasattr(model, name)] == []
    assert len(set(model.__all__)) == len(model.__all__)


def test_imported_packages_are_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = [project["project"]["dependencies"], *project["dependency-groups"].values()]
    lists += project["project"]["optional-dependencies"].values()
    pinned = {distribution(re.split(r"[\[=<>]", line)[0]) for lines in lists for line in lines}
    found = {top(m) for tree in SOURCES.values() for m, _ in imports(tree)}
    beside = {path.stem for path in (ROOT / "tests").glob("*.py")}
    others = found - {"model", "service", "tests"} - beside - set(sys.stdlib_module_names)
    carriers = packages_distributions()
    loose = [m for m in others if not {distribution(d) for d in carriers.get(m, [m])} & pinned]
    assert loose == []


def distribution(name: str) -> str:
    """A distribution's name as its metadata and pins spell it alike."""
    return name.lower().replace("_", "-")


# The tree


def packages(folder: str) -> set[str]:
    """The packages below a folder, `name/` or `name/inner/`."""
    inits = (ROOT / folder).rglob("__init__.py")
    names = {str(path.parent.relative_to(ROOT / folder)) for path in inits}
    return {f"{name}/" for name in names - {"."}}


@pytest.mark.parametrize("folder", ["model", "model/training", "service"])
def test_architecture_page_names_exactly_the_packages_there_are(folder: str) -> None:
    section = PAGE.partition(f"### `{folder}/`")[2].partition("\n#")[0]
    rows = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([\w/]+/)`", row)}
    inner = packages("model/training") if folder == "model" else set()
    assert named == packages(folder) - {f"training/{name}" for name in inner} - {"training/"}


def test_architecture_page_names_only_files_there_are() -> None:
    named = set(re.findall(r"`(\w[\w/]+\.\w+)`", PAGE))
    folders = ("", "docs", "weights", "model", "model/training", "service")
    roots = [ROOT / folder for folder in folders]
    assert [name for name in sorted(named) if not any((r / name).exists() for r in roots)] == []


def test_no_folder_has_too_many_rooms() -> None:
    folders = [ROOT / folder / name for folder in ("model", "service") for name in packages(folder)]
    rooms = {
        str(folder.relative_to(ROOT)): [
            path.name
            for path in folder.iterdir()
            if not path.name.startswith(("__", ".")) and path.name != "py.typed"
        ]
        for folder in [ROOT / "model", ROOT / "service", *folders]
    }
    assert {name: len(inside) for name, inside in rooms.items() if len(inside) > MOST_ROOMS} == {}
