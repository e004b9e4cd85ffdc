"""The parser of the command line, and `main`, which runs one command; COMMANDS lists them.

A new command is a module with the function that adds its arguments and the one that runs it, and an entry of COMMANDS.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import xent_core
from xent_core.cli import analyse_command, conform_command, doctor_command, problem_commands
from xent_core.cli.streams import robust_output
from xent_core.cli.terminal import complain, complain_more, program_name
from xent_core.columns import options_of
from xent_core.errors import InvalidInput
from xent_core.language import N_, _


class Command(NamedTuple):
    """One subcommand: what it does in a sentence, its arguments, and what it prints.

    `run` returns the text for stdout, with the exit code if that is not always 0.
    A ValueError or OSError from it is printed as one line, with exit code 2.
    """

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], str | tuple[str, int]]


COMMANDS = {
    "show": Command(
        N_("print the loss, the gradient and what leads to them"), problem_commands.add_source, problem_commands.show
    ),
    "script": Command(
        N_("print a program that computes the same and asserts it"),
        problem_commands.add_script_arguments,
        problem_commands.script,
    ),
    "notebook": Command(
        N_("write a Jupyter notebook that explains, computes and asserts the same"),
        problem_commands.add_notebook_arguments,
        problem_commands.notebook,
    ),
    "doctor": Command(
        N_("say what is wrong with logits and labels; exit code 1 if something is"),
        doctor_command.add_arguments,
        doctor_command.run,
    ),
    "analyse": Command(
        N_("say which examples, classes and pairs carry the gradient of the logits in a file"),
        analyse_command.add_arguments,
        analyse_command.run,
    ),
    "conform": Command(
        N_(
            "say whether a loss of your own is F.cross_entropy, property by property; exit code 1 if something is wrong"
        ),
        conform_command.add_arguments,
        conform_command.run,
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, or what the command says, or 2 for input that cannot be read."""
    codes: list[int] = []
    with robust_output(codes):
        codes.append(_main(argv))
    return codes[-1]


def _main(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog=program_name(), description=_("Softmax cross-entropy and its gradient, in a terminal.")
    )
    parser.add_argument("--version", action="version", version=f"xent {xent_core.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        command.add_arguments(subparsers.add_parser(name, help=_(command.help), description=_(command.help)))
    arguments = parser.parse_args(argv)
    with _cleaned_up_when_ended():
        return _run(arguments, sys.argv[1:] if argv is None else list(argv))


@contextlib.contextmanager
def _cleaned_up_when_ended() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the command as an error does, so that its temporary files are removed."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    try:
        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever runs it ends it in a way of its own
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(arguments: argparse.Namespace, given: list[str]) -> int:
    try:
        output = COMMANDS[arguments.command].run(arguments)
    except (ValueError, OSError) as error:
        complain(_said(error))
        for answer in getattr(error, "answers", ()):  # each as a command that reads the file so
            end = given.index("--") if "--" in given else len(given)  # what follows that is no option
            again = [*given[:end], *options_of(answer), *given[end:]]
            complain_more(f"  {program_name()} {shlex.join(again)}")
        return 2
    except ModuleNotFoundError as error:  # safetensors need a package of their own
        complain(_("This needs the package {name}: pip install {name}").format(name=error.name))
        return 2
    text, code = (output, 0) if isinstance(output, str) else output
    print(text.rstrip("\n"))
    return code


def _said(error: Exception) -> str:
    """The message on one line; the program that may follow it keeps its own."""
    if isinstance(error, InvalidInput) and error.program:
        return f"{error.sentence}\n{error.program}"
    return " ".join(str(error).split())
