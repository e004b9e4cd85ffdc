"""What the command line prints to be pasted: commands that answer a question."""

import re
import shlex


def printed_commands(text: str) -> list[list[str]]:
    """The commands in what was printed, each on a line of its own, as arguments of `main`."""
    found = re.findall(r"^\s*(?:python -m xent_core|xent) (\w+ .*)$", text, re.MULTILINE)
    return [shlex.split(command) for command in found]
