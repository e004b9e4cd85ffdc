"""The command line: python -m xent_core COMMAND …

Each command is a function that adds its arguments and one that runs it; COMMANDS lists them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from xent_core.cli import analyse_command as dump_command
from xent_core.cli.terminal import evaluation_text, findings_text
from xent_core.codec import MAX_FILE_BYTES, MAX_TOKEN, Document, from_token, read_file, to_script
from xent_core.doctor.diagnose import diagnose_file
from xent_core.language import N_, _


class Command(NamedTuple):
    """One subcommand: what it does in a sentence, its arguments, and what it prints.

    `run` returns the text for stdout, with the exit code if that is not always 0.
    A ValueError or OSError from it is printed as one line, with exit code 2.
    """

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], str | tuple[str, int]]


def add_source(parser: argparse.ArgumentParser) -> None:
    """The argument that names a Problem."""
    parser.add_argument(
        "source", metavar="FILE|TOKEN", help=_("a .json, .csv, .npz or .safetensors file, or the p= part of a link")
    )


def document_of(source: str) -> Document:
    """The Problem in a file, or else in a token. Raises: InvalidFile, InvalidToken, OSError."""
    path = Path(source)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # a token is too long for a file name
        is_file = False
    if is_file:
        with path.open("rb") as file:
            return read_file(path.name, file.read(MAX_FILE_BYTES + 1))
    if path.suffix and len(source) <= MAX_TOKEN:
        raise FileNotFoundError(_("There is no file {name!r}.").format(name=source))
    return Document(from_token(source))


def add_script_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `script`."""
    add_source(parser)
    parser.add_argument("--framework", choices=("torch", "jax"), default="torch", help=_("torch unless said"))


def show(arguments: argparse.Namespace) -> str:
    """The evaluation of a Problem, as tables."""
    return evaluation_text(document_of(arguments.source))


def script(arguments: argparse.Namespace) -> str:
    """A Problem as a program."""
    return to_script(document_of(arguments.source).problem, framework=arguments.framework)


def doctor(arguments: argparse.Namespace) -> tuple[str, int]:
    """What is wrong with the arrays in a file; exit code 1 for an error or a warning."""
    path = Path(arguments.file)
    found = diagnose_file(path.name, path.read_bytes())
    return findings_text(found), int(any(one.severity != "note" for one in found))


def add_file(parser: argparse.ArgumentParser) -> None:
    """The argument that names a file of arrays, valid or not."""
    parser.add_argument("file", metavar="FILE", help=_("a .json, .csv, .npz or .safetensors file"))


COMMANDS = {
    "show": Command(N_("print the loss, the gradient and what leads to them"), add_source, show),
    "script": Command(N_("print a program that computes the same and asserts it"), add_script_arguments, script),
    "doctor": Command(N_("say what is wrong with logits and labels; exit code 1 if something is"), add_file, doctor),
    "analyse": Command(
        N_("say which examples, classes and pairs carry the gradient of the logits in a file"),
        dump_command.add_arguments,
        dump_command.run,
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, or what the command says, or 2 for input that cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m xent_core", description=_("Softmax cross-entropy and its gradient, in a terminal.")
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        command.add_arguments(subparsers.add_parser(name, help=_(command.help), description=_(command.help)))
    arguments = parser.parse_args(argv)
    try:
        output = COMMANDS[arguments.command].run(arguments)
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:  # safetensors need a package of their own
        words = _("This needs the package {name}: pip install {name}").format(name=error.name)
        print(f"{parser.prog}: {words}", file=sys.stderr)
        return 2
    text, code = (output, 0) if isinstance(output, str) else output
    print(text.rstrip("\n"))
    return code


if __name__ == "__main__":
    sys.exit(main())
