"""What the command line says of an error."""

import re


def assert_one_line(said: str, message: str) -> None:
    assert said.startswith("poselift")
    assert said.count("\n") == 1, said
    assert re.search(message, said)
