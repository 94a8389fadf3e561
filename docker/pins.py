"""pyproject.toml -> requirement files for pip, one for each list of pins, in the folder named.

The images copy these files and not pyproject.toml itself, so that only a changed pin makes pip run
again.
"""

import sys
import tomllib
from pathlib import Path


def main(folder: Path) -> None:
    with open("pyproject.toml", "rb") as file:
        said = tomllib.load(file)
    project = said["project"]
    lists = {
        "build": said["build-system"]["requires"],
        "serve": project["dependencies"],
        **project["optional-dependencies"],
        **{f"{name}-alone": pins for name, pins in said["dependency-groups"].items()},
    }
    # the CUDA image has the libraries that this extra would bring from PyPI
    lists["gpu"] = [pin.replace("[cuda,cudnn]", "") for pin in lists["gpu"]]
    folder.mkdir()
    for name, pins in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(pins) + "\n")


main(Path(sys.argv[1]))
