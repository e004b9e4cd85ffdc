"""xent show, script and notebook: a Problem out of a file or a link's token, as tables, a program or a notebook."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from xent_core.cli.column_options import add_columns, choices_in
from xent_core.cli.streams import STDIN, from_standard_input, json_for
from xent_core.cli.terminal import evaluation_text
from xent_core.codec import MAX_FILE_BYTES, MAX_TOKEN, Document, from_token, read_file, to_notebook, to_script
from xent_core.codec.dump_files import read_dump
from xent_core.codec.files import OF_TORCH
from xent_core.columns import ColumnChoices
from xent_core.dump.input_files import input_files
from xent_core.language import _
from xent_core.outputs import checked_output, written_whole

NOTHING_SAID = ColumnChoices()
SHORTEST_TOKEN = 24  # characters; that of one number takes more


def add_source(parser: argparse.ArgumentParser) -> None:
    """The argument that names a Problem."""
    parser.add_argument(
        "source",
        metavar="FILE|TOKEN",
        help=_("a file, as Export writes it or as analyse reads it, the p= part of a link, or - for standard input"),
    )
    add_columns(parser)


def add_script_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `script`."""
    add_source(parser)
    parser.add_argument("--framework", choices=("torch", "jax"), default="torch", help=_("torch unless said"))


def add_notebook_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `notebook`."""
    add_source(parser)
    parser.add_argument("--out", metavar="FILE.ipynb", help=_("where to write it; without it, it is printed"))
    parser.add_argument("--force", action="store_true", help=_("let --out replace a file that is none of ours"))


def show(arguments: argparse.Namespace) -> str:
    """The evaluation of a Problem, as tables."""
    return evaluation_text(_document(arguments))


def script(arguments: argparse.Namespace) -> str:
    """A Problem as a program."""
    return to_script(_document(arguments).problem, framework=arguments.framework)


def notebook(arguments: argparse.Namespace) -> str:
    """A Problem as a notebook, printed or in a file. Raises: InvalidOutput."""
    if arguments.out is None:
        return json_for(sys.stdout, to_notebook(_document(arguments).problem))
    inputs = input_files([arguments.source, sys.stdin])
    path = checked_output(arguments.out, "--out", (".ipynb",), inputs=inputs, force=arguments.force)
    text = to_notebook(_document(arguments).problem)
    with written_whole(path) as file:
        file.write_text(text, encoding="utf-8")
    return _("{path} is written.").format(path=path)


def _document(arguments: argparse.Namespace) -> Document:
    with source_in(arguments) as source:
        return document_of(source, choices_in(arguments))


@contextlib.contextmanager
def source_in(arguments: argparse.Namespace) -> Iterator[str]:
    """The path of a file, or a token; what came by standard input lies in a file."""
    with from_standard_input(arguments.source) as (source,):
        yield _token_or_path(str(source), arguments.source)


def _token_or_path(path: str, given: str) -> str:
    """What came by standard input may be a token, too."""
    if given == STDIN:
        with open(path, "rb") as file:
            start = file.read(MAX_TOKEN + 2).strip()
        if re.fullmatch(rb"[A-Za-z0-9_-]{8,}", start):
            return start.decode("ascii")
    return path


def document_of(source: str, choices: ColumnChoices = NOTHING_SAID) -> Document:
    """The Problem in a file or a folder of shards, or else in a token.

    Raises: InvalidFile, InvalidToken, OSError.
    """
    path = Path(source)
    try:
        exists = path.exists()
    except (OSError, ValueError):  # a token is too long for a file name
        exists = False
    if exists and (path.is_dir() or path.suffix.lower() in OF_TORCH):  # which a process of its own looks into
        return read_dump(source, choices)
    if exists and choices.target is not None and os.path.isfile(choices.target):
        return read_dump(source, choices)
    if exists:
        with path.open("rb") as file:
            return read_file(path.name, file.read(MAX_FILE_BYTES + 1), choices)
    if _is_no_token(source):
        raise FileNotFoundError(_("There is no file {name!r}.").format(name=source))
    return Document(from_token(source))


def _is_no_token(source: str) -> bool:
    """Whether this rather names a file: it has an ending or folders, or is short and begins as no token does."""
    return len(source) <= MAX_TOKEN and (
        bool(Path(source).suffix) or os.sep in source or (len(source) < SHORTEST_TOKEN and not source[:1].isdigit())
    )
