"""Who may import whom (docs/architecture.md), proved in fresh interpreters and in the source."""

import ast
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
FOLDERS = ("model", "model/training", "service", "service/cli", "service/jobs")
HEAVY = {"mediapipe", "cv2", "matplotlib"}
TRAINING = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "model/training").rglob("[a-z]*.py"))
]


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
    ids=[
        "model",
        "service.app",
        "detectors",
        "service.cli",
        "service.jobs.worker",
        "model.training",
    ],
)
def test_a_fresh_interpreter_stays_free_of(imported: list[str], unwelcome: set[str]) -> None:
    script = f"import sys; import {', '.join(imported)}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert unwelcome & set(done.stdout.split()) == set()


def sources(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text())


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of each import below a node; the name is empty for `import module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)


def top(module_name: str) -> str:
    return module_name.partition(".")[0]


def test_service_uses_only_the_public_names_of_model() -> None:
    commands = Path("service/cli/commands.py")
    found = [
        f"{path}: {module} {name}"
        for path, tree in sources("service")
        for module, name in imports(tree)
        if top(module) == "model" and not (module == "model" and name in model.__all__)
        if not (path == commands and module.startswith("model.training"))
    ]
    assert found == []


def test_the_command_line_imports_training_only_when_called() -> None:
    tree = ast.parse((ROOT / "service" / "cli" / "commands.py").read_text())
    inside = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    late = {found for function in inside for found in imports(function)}
    training = {found for found in imports(tree) if found[0].startswith("model.training")}
    assert training
    assert training <= late


def test_model_knows_nothing_of_the_service() -> None:
    found = [(path, m) for path, tree in sources("model") for m, _ in imports(tree)]
    assert [(str(path), m) for path, m in found if top(m) in WEB] == []


def test_torch_is_imported_under_training_only() -> None:
    found = [(path, m) for path, tree in sources("model", "service") for m, _ in imports(tree)]
    elsewhere = [str(p) for p, m in found if top(m) in TORCH and p.parts[1] != "training"]
    assert elsewhere == []


def test_the_library_does_not_reach_into_training() -> None:
    found = [(path, m) for path, tree in sources("model") for m, _ in imports(tree)]
    reaching = [str(p) for p, m in found if m.startswith("model.training")]
    assert [path for path in reaching if not path.startswith("model/training/")] == []


def test_every_public_name_exists() -> None:
    assert [name for name in model.__all__ if not hasattr(model, name)] == []
    assert len(set(model.__all__)) == len(model.__all__)


def test_imported_packages_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = [project["project"]["dependencies"], *project["dependency-groups"].values()]
    lists += project["project"]["optional-dependencies"].values()
    pinned = {distribution(re.split(r"[\[=>]", line)[0]) for lines in lists for line in lines}
    found = {top(m) for _, tree in sources("model", "service", "tests") for m, _ in imports(tree)}
    beside = {path.stem for path in (ROOT / "tests").glob("*.py")}
    others = found - {"model", "service", "tests"} - beside - set(sys.stdlib_module_names)
    carriers = packages_distributions()
    loose = [m for m in others if not {distribution(d) for d in carriers.get(m, [m])} & pinned]
    assert loose == []


def distribution(name: str) -> str:
    """A distribution's name as its metadata and pins spell it alike."""
    return name.lower().replace("_", "-")


def test_the_architecture_page_names_every_file() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    files = [file for folder in FOLDERS for file in python(folder)]
    assert [file for file in files if f"`{file.rpartition('/')[2]}`" not in page] == []


def python(folder: str) -> list[str]:
    return [f"{folder}/{path.name}" for path in sorted((ROOT / folder).glob("[a-z]*.py"))]
