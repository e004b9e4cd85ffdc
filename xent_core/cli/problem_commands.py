"""python -m xent_core show and script: a Problem out of a file or a link's token, as tables or as a program."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from xent_core.cli.column_options import add_columns
from xent_core.cli.terminal import evaluation_text
from xent_core.codec import MAX_FILE_BYTES, MAX_TOKEN, Document, from_token, read_file, to_script
from xent_core.codec.dump_files import read_dump
from xent_core.codec.files import OF_TORCH
from xent_core.columns import ColumnChoices
from xent_core.language import _

NOTHING_SAID = ColumnChoices()


def add_source(parser: argparse.ArgumentParser) -> None:
    """The argument that names a Problem."""
    parser.add_argument(
        "source",
        metavar="FILE|TOKEN",
        help=_("a file, as Export writes it or as analyse reads it, or the p= part of a link"),
    )
    add_columns(parser)


def add_script_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `script`."""
    add_source(parser)
    parser.add_argument("--framework", choices=("torch", "jax"), default="torch", help=_("torch unless said"))


def show(arguments: argparse.Namespace) -> str:
    """The evaluation of a Problem, as tables."""
    return evaluation_text(_document(arguments))


def script(arguments: argparse.Namespace) -> str:
    """A Problem as a program."""
    return to_script(_document(arguments).problem, framework=arguments.framework)


def _document(arguments: argparse.Namespace) -> Document:
    choices = ColumnChoices(
        classes=arguments.classes,
        target=arguments.target_column,
        no_header=arguments.no_header,
        labels_are=arguments.labels_are,
    )
    return document_of(arguments.source, choices)


def document_of(source: str, choices: ColumnChoices = NOTHING_SAID) -> Document:
    """The Problem in a file, or else in a token. Raises: InvalidFile, InvalidToken, OSError."""
    path = Path(source)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # a token is too long for a file name
        is_file = False
    labels_elsewhere = choices.target is not None and os.path.isfile(choices.target)
    if is_file and (labels_elsewhere or path.suffix.lower() in OF_TORCH):  # which a process of its own looks into
        return read_dump(source, choices)
    if is_file:
        with path.open("rb") as file:
            return read_file(path.name, file.read(MAX_FILE_BYTES + 1), choices)
    if path.suffix and len(source) <= MAX_TOKEN:
        raise FileNotFoundError(_("There is no file {name!r}.").format(name=source))
    return Document(from_token(source))
