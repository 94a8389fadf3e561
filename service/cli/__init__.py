"""The console script `poselift`."""

import sys

try:
    from service.cli.commands import TRAINING, main
except ModuleNotFoundError as error:
    if error.name != "onnxruntime":
        raise
    # it comes as two packages, between which pip cannot choose by itself
    sys.exit("poselift: ONNX Runtime is not installed: install the extra `cpu`, or `gpu` for a GPU")

__all__ = ["TRAINING", "main"]
