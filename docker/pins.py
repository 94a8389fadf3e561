"""pyproject.toml and requirements/ -> files for pip in the given folder: each list of requirements,
and constraints.txt with the exact versions.

The images copy these files and not pyproject.toml itself, so that pip runs again only when
requirements change.
"""

import sys
import tomllib
from pathlib import Path

LOCKS = ("requirements/lock.txt", "requirements/torch.txt")


def main(folder: Path) -> None:
    document = tomllib.loads(Path("pyproject.toml").read_text())
    project = document["project"]
    lists = {
        "build": document["build-system"]["requires"],
        "serve": project["dependencies"],
        **project["optional-dependencies"],
        **{f"{name}-alone": lines for name, lines in document["dependency-groups"].items()},
    }
    # the CUDA image already contains the libraries of this extra
    lists["gpu"] = [line.replace("[cuda,cudnn]", "") for line in lists["gpu"]]
    folder.mkdir()
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (folder / "constraints.txt").write_text("".join(Path(lock).read_text() for lock in LOCKS))


main(Path(sys.argv[1]))
