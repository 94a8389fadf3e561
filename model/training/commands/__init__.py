"""The training commands of `poselift`: arguments in, exit code out."""

import argparse
from collections.abc import Callable

import torch

from model.training.commands.evaluate import evaluate_arguments, evaluate_command
from model.training.commands.export import export_arguments, export_command
from model.training.commands.fit_confidence import fit_confidence_arguments, fit_confidence_command
from model.training.commands.fit_noise import fit_noise_arguments, fit_noise_command
from model.training.commands.train import train_arguments, train_command
from model.training.datasets.originals import import_arguments, import_command
from model.training.export import official


def run(command: str, arguments: list[str]) -> int:
    """Run one training command. Raises PoseError for errors the user can correct."""
    commands: dict[str, tuple[Callable[..., None], Callable[..., None]]] = {
        "train": (train_arguments, train_command),
        "export": (export_arguments, export_command),
        "evaluate": (evaluate_arguments, evaluate_command),
        "fit-confidence": (fit_confidence_arguments, fit_confidence_command),
        "fit-noise": (fit_noise_arguments, fit_noise_command),
        "import-motion": (import_arguments, import_command),
        "import-official": (official.import_arguments, official.import_command),
    }
    add_arguments, execute = commands[command]
    parser = argparse.ArgumentParser(prog=f"poselift {command}")
    add_arguments(parser)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    execute(options)
    return 0
