"""Options of the command line made from an options dataclass (model.lifting.options)."""

import argparse
from dataclasses import fields
from typing import get_type_hints


def add_options(parser: argparse.ArgumentParser, options: type, *leave_out: str) -> None:
    """Add an option for each field, with its default; a field that is True by default becomes the
    flag --no-NAME."""
    types = get_type_hints(options)
    for field in fields(options):
        if field.name in leave_out:
            continue
        name, meaning = field.name.replace("_", "-"), field.metadata["meaning"]
        if types[field.name] is bool:
            prefix, action = ("no-", "store_false") if field.default else ("", "store_true")
            meaning = f"do not {meaning}" if field.default else meaning
            parser.add_argument(f"--{prefix}{name}", dest=field.name, action=action, help=meaning)
            continue
        kind = next(kind for kind in (int, float, str) if types[field.name] in (kind, kind | None))
        shown = "" if field.default is None else f" ({field.default})"
        parser.add_argument(
            f"--{name}",
            type=kind,
            default=field.default,
            choices=field.metadata["choices"] or None,
            metavar=None if field.metadata["choices"] else "N" if kind is int else "X",
            help=meaning + shown,
        )
