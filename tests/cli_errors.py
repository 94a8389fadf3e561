"""Errors of the command line."""

import re


def assert_one_line(output: str, message: str) -> None:
    assert output.startswith("poselift")
    assert output.count("\n") == 1, output
    assert re.search(message, output)
