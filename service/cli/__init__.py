"""The console script `poselift`."""

import sys

try:
    from service.cli.commands import TRAINING, main
except ModuleNotFoundError as error:
    if error.name != "onnxruntime":
        raise
    # two packages provide it, and pip cannot choose between them
    sys.exit("poselift: ONNX Runtime is not installed: install the extra `cpu`, or `gpu` for a GPU")

__all__ = ["TRAINING", "main"]
