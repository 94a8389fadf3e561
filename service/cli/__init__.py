"""The console script `poselift`."""

from service.cli.commands import TRAINING, main

__all__ = ["TRAINING", "main"]
